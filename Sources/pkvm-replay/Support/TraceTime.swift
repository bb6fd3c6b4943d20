import ArgumentParser
import KVMTypes

/// A moment of the trace's clock on the command line: seconds, with up to nine digits behind the point.
struct TraceTime: ExpressibleByArgument {
  var moment: Nanoseconds

  init?(argument: String) {
    let parts = argument.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let fraction = parts.count == 2 ? parts[1] : "0"
    guard let seconds = UInt64(parts[0]), !fraction.isEmpty, fraction.count <= 9,
      let nanoseconds = UInt64(fraction + String(repeating: "0", count: 9 - fraction.count)),
      seconds <= UInt64.max / 1_000_000_000 - 1
    else { return nil }
    moment = Nanoseconds(seconds * 1_000_000_000 + nanoseconds)
  }
}
