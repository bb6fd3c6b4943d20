/// What to do with each kind of event of one trace, compiled from its formats before the first event is read.
///
/// The plans lie in one table, indexed by the event's number; the fields of all plans in another. The page
/// decoder reads both through pointers: no array is retained and no bound checked per event, because `plan(of:)`
/// covers every number of 16 bits.
///
/// Invariant: `plans` holds 65,536 entries and `fields` as many as the largest `fieldsEnd`, until deinit.
struct DecodePlan: ~Copyable {
  /// The plan of one kind of event.
  struct Entry {
    var kind: EventKind
    /// Whether records of this kind are wanted; the others are only counted.
    var isSelected: Bool
    /// The position of the format in `EventFormats.formats`, `Entry.unknownFormat` where there is none.
    var formatIndex: UInt32
    /// How long the data must be for every field to lie inside.
    var payloadBytesMin: Int32
    /// The loads of this kind, in `fields`.
    var fieldsBegin: Int32
    var fieldsEnd: Int32

    static let unknownFormat = UInt32.max
  }

  /// A load and where in the record it goes.
  struct FieldLoad {
    var load: ScalarLoad
    var word: Int
    var bit: UInt64
    var mask: UInt64
  }

  let commonType: ScalarLoad
  let commonPID: ScalarLoad?
  let formatCount: Int
  private let plans: UnsafeMutablePointer<Entry>
  private let fields: UnsafeMutablePointer<FieldLoad>

  init(_ formats: EventFormats, selection: EventSelection, bigEndian: Bool) {
    let unknown = Entry(
      kind: .other, isSelected: selection.includesOther, formatIndex: Entry.unknownFormat, payloadBytesMin: 0,
      fieldsBegin: 0, fieldsEnd: 0)
    plans = .allocate(capacity: 1 << 16)
    plans.initialize(repeating: unknown, count: 1 << 16)
    var loads: [FieldLoad] = []
    for (index, format) in formats.formats.enumerated() {
      let scalars = Dictionary(
        format.fields.filter(\.isScalar).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
      let schema = EventSchema.schema(
        system: format.system, name: format.name, fieldNames: Set(scalars.keys))
      let begin = loads.count
      for field in schema?.fields ?? [] {
        guard let source = scalars[field.name.description] else { continue }
        let ownsWord = field.bits == 64
        loads.append(
          FieldLoad(
            load: ScalarLoad(
              offset: source.offset, size: source.size, isSigned: source.isSigned && ownsWord,
              bigEndian: bigEndian),
            word: field.word, bit: field.bit, mask: field.mask))
      }
      let kind = schema?.kind ?? .other
      plans[Int(format.id)] = Entry(
        kind: kind, isSelected: selection.includes(kind), formatIndex: UInt32(index),
        payloadBytesMin: Int32(clamping: loads[begin...].map(\.load.end).max() ?? 0),
        fieldsBegin: Int32(begin), fieldsEnd: Int32(loads.count))
    }
    fields = .allocate(capacity: max(loads.count, 1))
    fields.initialize(from: loads, count: loads.count)
    commonType = formats.commonType
    commonPID = formats.commonPID
    formatCount = formats.formats.count
  }

  deinit {
    plans.deallocate()
    fields.deallocate()
  }

  @inline(__always)
  func plan(of id: UInt16) -> UnsafePointer<Entry> { UnsafePointer(plans + Int(id)) }

  /// Fills the words of a record: the data at `payload` is at least `entry.payloadBytesMin` long.
  @inline(__always)
  func fill(
    _ words: UnsafeMutablePointer<UInt64>, from payload: UnsafeRawPointer, _ entry: UnsafePointer<Entry>
  ) {
    for index in Int(entry.pointee.fieldsBegin)..<Int(entry.pointee.fieldsEnd) {
      let field = fields + index
      words[field.pointee.word] |=
        (field.pointee.load.load(payload) & field.pointee.mask) &<< field.pointee.bit
    }
  }
}

/// Which events a reader wants to see. The others are counted all the same.
public struct EventSelection: Sendable {
  /// Whether events without an `EventKind` of their own are delivered.
  public var includesOther: Bool
  /// Whether the probes on the kernel's own stage-2 operations are delivered.
  public var includesOperationProbes: Bool

  /// Every event of the trace.
  public static let all = EventSelection(includesOther: true, includesOperationProbes: true)
  /// What a replay needs, with the operation probes or without.
  public static func replay(probes: Bool) -> EventSelection {
    EventSelection(includesOther: false, includesOperationProbes: probes)
  }

  func includes(_ kind: EventKind) -> Bool {
    if kind == .other { return includesOther }
    return includesOperationProbes || !kind.isOperationProbe
  }
}
