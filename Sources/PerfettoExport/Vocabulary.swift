internal import KVMTrace
internal import KVMTypes
internal import Stage2Model
internal import Stage2Replay

// The words of events. There are few of them, so all stand in the first packet of a file and have the same number in
// every file: an event then needs two bytes for each, and no table has to be looked at.

/// A set of words whose positions are their numbers.
protocol Vocabulary: CaseIterable {
  /// The word in the UI.
  var text: String { get }
}

/// What kinds of events there are: what the UI can be asked to show alone.
enum Category: UInt64, Vocabulary {
  case fault = 1
  case lock, operation, divergence, marker, loss

  var text: String {
    switch self {
    case .fault: "fault"
    case .lock: "lock"
    case .operation: "operation"
    case .divergence: "divergence"
    case .marker: "marker"
    case .loss: "loss"
    }
  }
}

/// The names of slices and instants.
enum EventName: UInt64, Vocabulary {
  case translation = 1
  case permission, accessFlag, addressSize, externalAbort, exclusiveOrAtomic, other, device
  case waitToRead, waitToWrite
  case age, testAge
  case eventsLost

  init(_ kind: FaultKind) {
    self =
      switch kind {
      case .translation: .translation
      case .permission: .permission
      case .accessFlag: .accessFlag
      case .addressSize: .addressSize
      case .externalAbort: .externalAbort
      case .exclusiveOrAtomic: .exclusiveOrAtomic
      case .other: .other
      }
  }

  var text: String {
    switch self {
    case .translation: "translation fault"
    case .permission: "permission fault"
    case .accessFlag: "access flag fault"
    case .addressSize: "address size fault"
    case .externalAbort: "external abort"
    case .exclusiveOrAtomic: "exclusive or atomic fault"
    case .other: "fault"
    case .device: "device access"
    case .waitToRead: "wait to read"
    case .waitToWrite: "wait to write"
    case .age: "age"
    case .testAge: "test_age"
    case .eventsLost: "events lost"
    }
  }
}

/// The names of arguments.
enum Argument: UInt64, Vocabulary {
  case ipa = 1
  case level, access, cpu, noSlot, cut, endUnseen
  case operation, size, result, basis
  case afterUnmap, unmappedFor, pagesTaken
  case mode, holder, faultIPA
  case rule, verdict, exception
  case events, place

  var text: String {
    switch self {
    case .ipa: "ipa"
    case .level: "level"
    case .access: "access"
    case .cpu: "cpu"
    case .noSlot: "no_slot"
    case .cut: "cut"
    case .endUnseen: "end_unseen"
    case .operation: "operation"
    case .size: "size"
    case .result: "result"
    case .basis: "basis"
    case .afterUnmap: "after_unmap"
    case .unmappedFor: "unmapped_for_ns"
    case .pagesTaken: "pages_taken"
    case .mode: "mode"
    case .holder: "holder"
    case .faultIPA: "fault_ipa"
    case .rule: "rule"
    case .verdict: "verdict"
    case .exception: "exception"
    case .events: "events"
    case .place: "place"
    }
  }
}

/// What arguments say.
enum Word: UInt64, Vocabulary {
  case read = 1
  case write, exec
  case recorded, derived, assumed, modelled
  case unexplained, explained, unknown
  case before, after, anywhere

  init(_ basis: Basis) {
    self =
      switch basis {
      case .recorded: .recorded
      case .derived: .derived
      case .assumed: .assumed
      case .modelled: .modelled
      }
  }

  init(_ mode: LockMode) { self = mode == .write ? .write : .read }

  init(_ verdict: DivergenceVerdict) {
    self =
      switch verdict {
      case .unexplained: .unexplained
      case .explained: .explained
      case .unknown: .unknown
      }
  }

  init(_ place: Loss.Place) {
    self =
      switch place {
      case .before: .before
      case .after: .after
      case .anywhere: .anywhere
      }
  }

  var text: String {
    switch self {
    case .read: "read"
    case .write: "write"
    case .exec: "exec"
    case .recorded: Basis.recorded.name
    case .derived: Basis.derived.name
    case .assumed: Basis.assumed.name
    case .modelled: Basis.modelled.name
    case .unexplained: DivergenceVerdict.unexplained.name
    case .explained: DivergenceVerdict.explained.name
    case .unknown: DivergenceVerdict.unknown.name
    case .before: Loss.Place.before.rawValue
    case .after: Loss.Place.after.rawValue
    case .anywhere: Loss.Place.anywhere.rawValue
    }
  }
}

/// The words of operations, whose numbers are behind those of other words: as names of events they have the same as in arguments.
enum OperationWord {
  /// What a function on the table is called.
  static func name(_ kind: OperationKind) -> UInt64 { 32 + UInt64(kind.rawValue) }

  /// What an operation is called that stands by itself: what calls `test_clear_young` is told apart.
  static func name(_ operation: Stage2Operation) -> UInt64 {
    guard operation.kind == .testClearYoung else { return name(operation.kind) }
    return (operation.markOld ? EventName.age : .testAge).rawValue
  }
}

/// The words of divergences, whose numbers are behind those of all other words.
enum DivergenceWord {
  /// What an event is called that breaks a rule: "D4 explained".
  static func name(_ rule: DivergenceRule, _ verdict: DivergenceVerdict) -> UInt64 {
    64 + position(of: rule) * 4 + UInt64(verdict.rawValue)
  }

  /// What the rule says.
  static func statement(_ rule: DivergenceRule) -> UInt64 { 64 + position(of: rule) }

  /// What accounts for it.
  static func exception(_ exception: DivergenceException) -> UInt64 {
    128 + UInt64(DivergenceException.allCases.firstIndex(of: exception) ?? 0)
  }

  private static func position(of rule: DivergenceRule) -> UInt64 {
    UInt64(DivergenceRule.allCases.firstIndex(of: rule) ?? 0)
  }
}

extension WireBuffer {
  /// All words, as InternedData has them.
  mutating func vocabulary() {
    message(PacketField.internedData) { data in
      data.trackMark()
      data.entries(InternedField.eventCategories, Category.self)
      data.entries(InternedField.eventNames, EventName.self)
      data.entries(InternedField.debugAnnotationNames, Argument.self)
      data.entries(InternedField.debugAnnotationStringValues, Word.self)
      for kind in OperationKind.allCases {
        data.entry(InternedField.eventNames, OperationWord.name(kind), kind.name)
        data.entry(InternedField.debugAnnotationStringValues, OperationWord.name(kind), kind.name)
      }
      for rule in DivergenceRule.allCases {
        data.entry(
          InternedField.debugAnnotationStringValues, DivergenceWord.statement(rule),
          "\(rule.id): \(rule.statement)")
        for verdict in DivergenceVerdict.allCases {
          data.entry(
            InternedField.eventNames, DivergenceWord.name(rule, verdict), "\(rule.id) \(verdict.name)")
        }
      }
      for exception in DivergenceException.allCases {
        data.entry(
          InternedField.debugAnnotationStringValues, DivergenceWord.exception(exception),
          "\(exception.rawValue): \(exception.statement)")
      }
    }
  }

  /// What tells a file of tracks from a recording: it stands before all other words.
  mutating func trackMark() {
    entry(InternedField.debugAnnotationStringValues, TracksSignature.markNumber, TracksSignature.mark)
  }

  private mutating func entries<Words: Vocabulary & RawRepresentable<UInt64>>(
    _ field: UInt32, _ words: Words.Type
  ) {
    for word in words.allCases { entry(field, word.rawValue, word.text) }
  }

  private mutating func entry(_ field: UInt32, _ id: UInt64, _ text: String) {
    message(field) { entry in
      entry.varint(InternedField.entryID, id)
      entry.text(InternedField.entryText, text)
    }
  }

  // MARK: Arguments of an event

  mutating func argument(_ name: Argument, _ word: Word) { argument(name, word: word.rawValue) }

  /// - Parameter number: the word's.
  mutating func argument(_ name: Argument, word number: UInt64) {
    message(EventField.debugAnnotations) { annotation in
      annotation.varint(AnnotationField.nameIID, name.rawValue)
      annotation.varint(AnnotationField.stringValueIID, number)
    }
  }

  mutating func argument(_ name: Argument, _ number: UInt64) {
    message(EventField.debugAnnotations) { annotation in
      annotation.varint(AnnotationField.nameIID, name.rawValue)
      annotation.varint(AnnotationField.uintValue, number)
    }
  }

  mutating func argument(_ name: Argument, signed number: Int64) {
    message(EventField.debugAnnotations) { annotation in
      annotation.varint(AnnotationField.nameIID, name.rawValue)
      annotation.signed(AnnotationField.intValue, number)
    }
  }

  /// An address, which the UI shows in hexadecimal.
  mutating func argument(_ name: Argument, _ ipa: IPA) {
    message(EventField.debugAnnotations) { annotation in
      annotation.varint(AnnotationField.nameIID, name.rawValue)
      annotation.varint(AnnotationField.pointerValue, ipa.rawValue)
    }
  }

  mutating func argument(_ name: Argument, text: String) {
    message(EventField.debugAnnotations) { annotation in
      annotation.varint(AnnotationField.nameIID, name.rawValue)
      annotation.text(AnnotationField.stringValue, text)
    }
  }

  /// A statement that holds; where it does not, the argument is left out.
  mutating func flag(_ name: Argument) {
    message(EventField.debugAnnotations) { annotation in
      annotation.varint(AnnotationField.nameIID, name.rawValue)
      annotation.varint(AnnotationField.boolValue, 1)
    }
  }

  /// An argument whose name is no word of all files.
  mutating func argument(named name: String, text: String) {
    message(EventField.debugAnnotations) { annotation in
      annotation.text(AnnotationField.name, name)
      annotation.text(AnnotationField.stringValue, text)
    }
  }

  /// A number whose name is no word of all files.
  mutating func argument(named name: String, number: Int64) {
    message(EventField.debugAnnotations) { annotation in
      annotation.text(AnnotationField.name, name)
      annotation.signed(AnnotationField.intValue, number)
    }
  }
}
