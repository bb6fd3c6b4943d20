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

  /// Only one file can go to standard output.
  ///
  /// - Parameter outputs: the options that name files, with what they name; nil where they were not given.
  func checkStandardOutput(_ outputs: KeyValuePairs<String, String?>) throws {
    let taking = outputs.filter { StandardOutput.isMeant(by: $0.value) }.map(\.key)
    if taking.count > 1 {
      throw ValidationError("\(taking[0]) and \(taking[1]) cannot both go to standard output")
    }
  }
}
