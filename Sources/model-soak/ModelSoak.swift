import ModelOracle

#if canImport(Glibc)
  import Glibc
#endif

/// Runs random operations on the model and the oracle for long: `tools/soak`.
///
///     model-soak [--operations N] [--seed N] [--case SUBSTRING] [--check-every N]
///
/// Each case is run in pieces of 1000 operations with consecutive seeds, so that VMs are born and die often
/// and a failure is short to replay. Exit status 1 at the first mismatch, which is printed with its seed.
@main
struct ModelSoak {
  static let piece = 1000

  static func main() {
    var options = Options()
    options.parse(CommandLine.arguments.dropFirst())
    for host in TraditionalCase.all where options.matches("traditional \(host)") {
      run("traditional \(host)", options) { seed throws(OracleMismatch) in
        try host.run(seed: seed, steps: piece, checkEvery: options.checkEvery)
      }
    }
    for host in PKVMCase.all where options.matches("pKVM \(host)") {
      run("pKVM \(host)", options) { seed throws(OracleMismatch) in
        try host.run(seed: seed, steps: piece, checkEvery: options.checkEvery)
      }
    }
  }

  static func run(_ name: String, _ options: Options, _ body: (UInt64) throws(OracleMismatch) -> Void) {
    let clock = ContinuousClock()
    let start = clock.now
    let pieces = UInt64((options.operations + piece - 1) / piece)
    for seed in options.seed..<(options.seed + pieces) {
      do {
        try body(seed)
      } catch {
        print("FAILED \(name): \(error)")
        print(
          "replay: tools/soak --case '\(name)' --seed \(seed) --operations \(piece) --check-every 1"
        )
        exit(1)
      }
    }
    print("ok \(name): \(pieces * UInt64(piece)) operations in \(clock.now - start)")
    // A run takes hours: what is done shows at once, also in a pipe.
    fflush(nil)
  }
}

struct Options {
  var operations = 10_000_000
  var seed: UInt64 = 1
  var substring: String?
  var checkEvery = 250

  func matches(_ name: String) -> Bool { substring.map { name.contains($0) } ?? true }

  mutating func parse(_ arguments: ArraySlice<String>) {
    var rest = arguments
    while let name = rest.popFirst() {
      guard let value = rest.popFirst() else { usage("\(name) lacks a value") }
      switch name {
      case "--operations": operations = number(name, value)
      case "--seed": seed = UInt64(number(name, value))
      case "--case": substring = value
      case "--check-every": checkEvery = number(name, value)
      default: usage("unknown option \(name)")
      }
    }
  }

  private func number(_ name: String, _ value: String) -> Int {
    guard let number = Int(value), number > 0 else { usage("\(name) takes a positive number, not \(value)") }
    return number
  }

  private func usage(_ problem: String) -> Never {
    print("\(problem)\nusage: model-soak [--operations N] [--seed N] [--case SUBSTRING] [--check-every N]")
    exit(64)
  }
}
