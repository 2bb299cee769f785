fn main() -> kar::cli::Exit {
    kar::cli::main()
}
