import ArgumentParser
import KVMTypes

/// The host's page size on the command line: `4K`, `16KiB` or `65536`.
struct PageSizeArgument: ExpressibleByArgument {
  let size: PageSize

  init(_ size: PageSize) { self.size = size }

  init?(argument: String) {
    var digits = argument.lowercased()
    var unit: UInt64 = 1
    for suffix in ["kib", "kb", "k"] where digits.hasSuffix(suffix) {
      (digits, unit) = (String(digits.dropLast(suffix.count)), 1024)
      break
    }
    guard let number = UInt64(digits), number <= 65536, let size = PageSize(bytes: number * unit) else {
      return nil
    }
    self.size = size
  }

  static let allValueStrings = ["4K", "16K", "64K"]

  static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }

  var defaultValueDescription: String { "\(size.bytes / 1024)K" }
}

/// `--page-size` of the verbs that read a trace.
struct PageSizeOption: ParsableArguments {
  @Option(
    name: .customLong("page-size"),
    help: ArgumentHelp(
      """
      The host's page size: 4K, 16K or 64K. Else what the trace tells, which is not always the size of its sub-buffers: the \
      page Profiles says how.
      """, valueName: "size"))
  private var argument: PageSizeArgument?

  /// The page size, nil where the trace tells it.
  var size: PageSize? { argument?.size }
}
