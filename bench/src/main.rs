//! The program `bench`: see `bench --help`.

fn main() -> std::process::ExitCode {
    bench::cli::main()
}
