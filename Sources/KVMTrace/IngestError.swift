/// Why a trace could not be read at all. Damage inside a readable trace is a `Damage` instead.
public struct IngestError: Error, Hashable, Sendable {
  /// The class of error, which decides the exit status of the command line (sysexits.h).
  public enum Kind: Hashable, Sendable {
    /// There is no such input (EX_NOINPUT, 66).
    case noInput
    /// The input is no trace (EX_DATAERR, 65).
    case notATrace
    /// A read or write failed (EX_IOERR, 74).
    case inputOutput
  }

  /// The class of error.
  public var kind: Kind
  /// The file, "-" for standard input.
  public var path: String
  /// Where in the file, in bytes, if somewhere.
  public var offset: Int?
  /// What is wrong.
  public var what: String
  /// What the user can do about it, if anything.
  public var advice: String?

  /// An error about `path`.
  public init(_ kind: Kind, path: String, offset: Int? = nil, what: String, advice: String? = nil) {
    self.kind = kind
    self.path = path
    self.offset = offset
    self.what = what
    self.advice = advice
  }

  /// The error in one line: what, where, what to do.
  public var line: String {
    var text = "\(path == "-" ? "standard input" : path): \(what)"
    if let offset { text += " at byte \(offset)" }
    if let advice { text += "; \(advice)" }
    return text.inOneLine
  }
}

/// A place where the trace is not what its format demands. Reading goes on around it.
public struct Damage: Hashable, Sendable {
  /// Where in the file, in bytes.
  public var offset: Int
  /// The processor whose events are concerned, nil where it is the whole file.
  public var cpu: UInt16?
  /// What is wrong there and what was left out because of it.
  public var what: String

  /// Something is wrong at byte `offset`, for the events of `cpu`; for all of them where that is nil.
  public init(offset: Int, cpu: UInt16? = nil, what: String) {
    self.offset = offset
    self.cpu = cpu
    self.what = what.inOneLine
  }
}

extension String {
  /// The text with its code in the place of each control character: names that a file tells can hold line ends, and what a terminal
  /// takes for orders.
  fileprivate var inOneLine: String {
    guard unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return self }
    var text = UnicodeScalarView()
    for scalar in unicodeScalars {
      guard scalar.properties.generalCategory == .control else {
        text.append(scalar)
        continue
      }
      let code = String(scalar.value, radix: 16)
      text.append(contentsOf: "\\x\(code.count < 2 ? "0" : "")\(code)".unicodeScalars)
    }
    return String(text)
  }
}
