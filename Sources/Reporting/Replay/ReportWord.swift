public import KVMTypes
public import Stage2Model
public import Stage2Replay

/// A value for which reports have one word, as a value and as a key of an object.
public protocol ReportWord: Hashable, Sendable, CaseIterable, Encodable, CodingKeyRepresentable {
  /// The word.
  var word: String { get }
}

extension ReportWord {
  /// The word as the key of an object.
  public var codingKey: any CodingKey { ReportKey(word) }

  /// The value whose word a key is.
  public init?<Key: CodingKey>(codingKey: Key) {
    guard let value = Self.allCases.first(where: { $0.word == codingKey.stringValue }) else { return nil }
    self = value
  }

  fileprivate func encodeWord(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(word)
  }
}

// The standard library encodes an enumeration by its raw value, unless something closer to it says otherwise.

extension ReportWord where Self: RawRepresentable, RawValue == UInt8 {
  /// The word itself, not the raw value.
  public func encode(to encoder: any Encoder) throws { try encodeWord(to: encoder) }
}

extension ReportWord where Self: RawRepresentable, RawValue == String {
  /// The raw value is the word.
  public var word: String { rawValue }

  /// The word itself.
  public func encode(to encoder: any Encoder) throws { try encodeWord(to: encoder) }

  /// The word as the key of an object.
  public var codingKey: any CodingKey { ReportKey(rawValue) }

  /// The value whose word a key is.
  public init?<Key: CodingKey>(codingKey: Key) { self.init(rawValue: codingKey.stringValue) }
}

/// A key of an object in a report.
struct ReportKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ word: String) { stringValue = word }
  init?(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { nil }
}

extension Basis: ReportWord {
  /// The basis's name.
  public var word: String { name }
}

extension OperationKind: ReportWord {
  /// The stage-2 function in lower camel case.
  public var word: String {
    switch self {
    case .relaxPerms: "relaxPerms"
    case .testClearYoung: "testClearYoung"
    default: name
    }
  }
}

extension LockMode: ReportWord {
  /// "none", "read" or "write".
  public var word: String {
    switch self {
    case .none: "none"
    case .read: "read"
    case .write: "write"
    }
  }
}

extension Hypercall: ReportWord {
  /// The hypercall's name in the kernel, without its prefix.
  public var word: String { name }
}

extension NoOperationReason: ReportWord {
  /// The reason's name.
  public var word: String { name }
}

extension ProfileField.ID: ReportWord {}

extension Profile.FaultLock: ReportWord {}

extension DivergenceRule: ReportWord {}

extension DivergenceException: ReportWord {}

extension DivergenceVerdict: ReportWord {
  /// The verdict's name.
  public var word: String { name }
}

extension MarkerFigure.Kind: ReportWord {
  /// The figure's name.
  public var word: String { name }
}

extension MarkerFigure.Verdict: ReportWord {
  /// The verdict's name.
  public var word: String { name }
}

extension MarkerDoubt: ReportWord {
  /// The reason in a phrase.
  public var word: String { statement }
}

extension RegionEvent.Kind: ReportWord {
  /// What happened, in a few words.
  public var word: String {
    switch self {
    case .translationFault: "translation fault"
    case .permissionFault: "permission fault"
    case .accessFault: "access flag fault"
    case .otherFault: "fault"
    case .unmap: "unmap"
    case .age: "age"
    case .testAge: "test age"
    case .slotRemoval: "slot removal"
    case .writeProtection: "write protection"
    case .vcpuInit: "vCPU reset"
    }
  }
}

extension RegionEvent.Access: ReportWord {
  /// How the guest touched memory, in a few words.
  public var word: String {
    switch self {
    case .read: "read"
    case .write: "write"
    case .exec: "fetch"
    case .stage1Walk: "stage-1 walk"
    case .none: "none"
    }
  }
}

extension RegionEvent.Effect: ReportWord {
  /// What KVM did, in a few words.
  public var word: String {
    switch self {
    case .nothing: "nothing"
    case .again: "failed or -EAGAIN"
    case .mappedPage: "page mapped"
    case .mappedBlock: "block mapped"
    case .relaxed: "rights relaxed"
    case .madeYoung: "made young"
    case .asked: "done"
    }
  }
}

extension ProfileValue: Encodable {
  /// The value itself, not an object around it.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .word(let value): try container.encode(value)
    }
  }
}
