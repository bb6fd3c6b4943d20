import ArgumentParser

/// A verb that looks at its options once all of them are known, and not in `validate()`: there, what stands behind an unknown option
/// would count as an input.
protocol CheckedCommand: ParsableCommand {
  /// What options cannot be, and contradict each other in.
  func check() throws
}

extension CheckedCommand {
  /// Standard input can only be read once.
  func checkStandardInput(_ inputs: some Sequence<String>) throws {
    if inputs.count(where: { $0 == "-" }) > 1 {
      throw ValidationError("standard input can only be read once: give - once")
    }
  }
}
