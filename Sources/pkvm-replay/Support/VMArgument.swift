import ArgumentParser

/// A VM on the command line of `replay`: its number in the report, behind that of the input if there are several.
struct VMArgument: ExpressibleByArgument {
  /// The position of the input, from 0; nil where there is but one.
  var input: Int?
  var vm: Int

  init?(argument: String) {
    let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Int($0) }.filter { $0 >= 0 }
    guard numbers.count == parts.count, let last = numbers.last else { return nil }
    input = parts.count == 2 ? numbers[0] : nil
    vm = last
  }
}
