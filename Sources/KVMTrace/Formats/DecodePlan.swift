internal import Glibc

/// What to do with each kind of event of one trace, compiled from its formats before the first event is read.
///
/// The plans lie in one table, with another one that leads from an event's number to its plan; the fields of all plans in a
/// third. The page decoder reads them through pointers: no array is retained and no bound checked per event, because
/// `planIndex` covers every number of 16 bits.
///
/// Invariant: `planIndex` holds 65,536 indices of `plans`, and `fields` as many loads as the largest `fieldsEnd`, until deinit.
struct DecodePlan: ~Copyable {
  /// The plan of one kind of event.
  struct Entry {
    var kind: EventKind = .other
    /// Whether records of this kind are wanted; the others are only counted.
    var isSelected: Bool
    /// The position of the format in `EventFormats.formats`, their number where there is none.
    var formatIndex: Int
    /// What a record of this kind has in `TraceRecord.Packed`.
    var tag: UInt64 = 0
    /// How long the data must be for every field to lie inside.
    var payloadBytesMin = 0
    /// How long the data must be for the plain loop to take the event; `.max` where that cannot.
    var plainBytesMin = Int.max
    /// The loads of this kind, in `fields`.
    var fields = 0..<0
    /// The same for the plain loop: what goes to the first words.
    var words: PlainWords
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
  private let planIndex: UnsafeMutablePointer<UInt32>
  private let plans: UnsafeMutablePointer<Entry>
  private let fields: UnsafeMutablePointer<FieldLoad>

  init(_ formats: EventFormats, selection: EventSelection, bigEndian: Bool) {
    // The first plan is that of all events without a format.
    var entries = [
      Entry(
        isSelected: selection.includesOther, formatIndex: formats.formats.count,
        words: PlainWords([])!)
    ]
    // Few of the numbers are there, and memory that is not touched costs nothing.
    planIndex = calloc(1 << 16, MemoryLayout<UInt32>.stride)!.bindMemory(to: UInt32.self, capacity: 1 << 16)
    let hasPlainHead = !bigEndian && PlainWords.standsBehindPlainHead(formats)
    // Their records carry a number that the plan does not know.
    if hasPlainHead, !selection.includesOther { entries[0].plainBytesMin = PlainWords.headBytes }
    var loads: [FieldLoad] = []
    for (index, format) in formats.formats.enumerated() {
      let (kind, own) = Self.loads(of: format, bigEndian: bigEndian)
      let words = PlainWords(own)
      var entry = Entry(
        kind: kind, isSelected: selection.includes(kind), formatIndex: index,
        tag: UInt64(format.id) << 32 | UInt64(kind.rawValue) << 48,
        payloadBytesMin: own.map(\.load.end).max() ?? 0, fields: loads.count..<(loads.count + own.count),
        words: words ?? PlainWords([])!)
      if hasPlainHead, words != nil || !entry.isSelected {
        entry.plainBytesMin = max(entry.payloadBytesMin, PlainWords.headBytes)
      }
      planIndex[Int(format.id)] = UInt32(entries.count)
      entries.append(entry)
      loads += own
    }
    plans = .allocate(capacity: entries.count)
    plans.initialize(from: entries, count: entries.count)
    fields = .allocate(capacity: max(loads.count, 1))
    fields.initialize(from: loads, count: loads.count)
    commonType = formats.common.type
    commonPID = formats.common.pid
    formatCount = formats.formats.count
  }

  deinit {
    free(planIndex)
    plans.deallocate()
    fields.deallocate()
  }

  /// What an event with this format means, and the loads of its fields.
  private static func loads(
    of format: EventFormat, bigEndian: Bool
  ) -> (kind: EventKind, loads: [FieldLoad]) {
    guard let schema = format.schema else { return (.other, []) }
    let scalars = format.fields.filter(\.isScalar)
    let loads = schema.fields.compactMap { field -> FieldLoad? in
      let name = field.name.description
      guard let source = scalars.first(where: { $0.name == name }) else { return nil }
      return FieldLoad(
        load: ScalarLoad(
          offset: source.offset, size: source.size, isSigned: source.isSigned && field.bits == 64,
          bigEndian: bigEndian),
        word: field.word, bit: field.bit, mask: field.mask)
    }
    return (schema.kind, loads)
  }

  @inline(__always)
  func plan(of id: UInt16) -> UnsafePointer<Entry> { UnsafePointer(plans + Int(planIndex[Int(id)])) }

  /// Fills the words of a record: the data at `payload` is at least `entry.payloadBytesMin` long.
  func fill(
    _ words: inout TraceRecord.Words, from payload: UnsafeRawPointer, _ entry: UnsafePointer<Entry>
  ) {
    for index in entry.pointee.fields {
      let field = fields[index]
      words[field.word] |= (field.load.load(payload) & field.mask) &<< field.bit
    }
  }
}

/// The loads of an event whose fields have a word each, four at most, in a little-endian trace: the same few steps for every
/// kind of event, so that no branch depends on it.
struct PlainWords {
  /// How a word is loaded: the eight bytes that end where the field ends, shifted so that only the field remains.
  struct Load {
    /// Where the eight bytes begin, in bytes from the start of the event's data.
    let offset: Int
    private let shift: Int64
    /// What to keep then: of an unsigned field what is its own, of a signed one the copies of its sign as well, and nothing of a
    /// word without a field.
    private let mask: Int64

    /// No field: the word is 0.
    init() { (offset, shift, mask) = (0, 0, 0) }

    init(_ load: ScalarLoad) {
      offset = load.end - 8
      shift = Int64(load.unused)
      mask = load.isSigned ? -1 : Int64(bitPattern: .max >> load.unused)
    }

    @inline(__always)
    func load(_ payload: UnsafeRawPointer) -> UInt64 {
      let raw = payload.loadUnaligned(fromByteOffset: offset, as: Int64.self)
      return UInt64(bitPattern: raw &>> shift & mask)
    }
  }

  /// How long what every event begins with is, in bytes.
  static let headBytes = 8

  private let w0: Load
  private let w1: Load
  private let w2: Load
  private let w3: Load

  /// The words that `loads` fill; nil where that takes more.
  init?(_ loads: [DecodePlan.FieldLoad]) {
    guard loads.allSatisfy({ $0.mask == .max && $0.word < 4 }) else { return nil }
    func load(_ word: Int) -> Load { loads.first { $0.word == word }.map { Load($0.load) } ?? Load() }
    (w0, w1, w2, w3) = (load(0), load(1), load(2), load(3))
  }

  /// Whether events begin as the kernel has always written them: u16 common_type, two bytes, i32 common_pid.
  static func standsBehindPlainHead(_ formats: EventFormats) -> Bool {
    func isAt(_ offset: Int, _ size: Int, _ load: ScalarLoad) -> Bool {
      load.end == offset + size && load.unused == UInt64(64 - 8 * size)
    }
    return isAt(0, 2, formats.common.type) && (formats.common.pid.map { isAt(4, 4, $0) } ?? false)
  }

  /// The words of the event whose data begins at `payload`, all of whose fields lie inside.
  @inline(__always)
  func words(_ payload: UnsafeRawPointer) -> TraceRecord.Words {
    var words = TraceRecord.Words()
    words.w0 = w0.load(payload)
    words.w1 = w1.load(payload)
    words.w2 = w2.load(payload)
    words.w3 = w3.load(payload)
    return words
  }
}
