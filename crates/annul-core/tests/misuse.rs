//! What must not compile: each file beside this one holds the API wrong in one way.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
