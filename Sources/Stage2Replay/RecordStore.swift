/// Records that are told apart by their position, and changed field by field where they lie.
///
/// An array asks at every change whether it is the only one that knows its storage: 2 % of a replay's time, for a thread or
/// a fault is changed several times by each event. This does not ask. It touches raw memory; what makes that safe:
/// - Positions below `count` hold records, and nothing takes one out: only `append` adds to them.
/// - The memory is given back with the last store that knows it.
/// - A copy of a store is the same records, as far as they went when it was made. So nobody appends to or changes a store of
///   which there is a copy in use; copies are for looking at.
struct RecordStore<Record> {
  private final class Memory {
    let records: UnsafeMutablePointer<Record>
    let capacity: Int
    /// How many records it has to give back; none once they have moved.
    var count = 0

    init(capacity: Int) {
      records = .allocate(capacity: capacity)
      self.capacity = capacity
    }

    deinit {
      records.deinitialize(count: count)
      records.deallocate()
    }
  }

  private var memory: Memory
  private var records: UnsafeMutablePointer<Record>
  private(set) var count = 0

  init() {
    memory = Memory(capacity: 16)
    records = memory.records
  }

  /// The record at a position.
  subscript(position: Int) -> Record {
    @inline(__always) unsafeAddress { UnsafePointer(place(of: position)) }
    @inline(__always) unsafeMutableAddress { place(of: position) }
  }

  /// Where the record at a position lies until the next one is added, for a subscript of whoever has this store: an accessor
  /// that hands a record on as a coroutine is called for each field.
  @inline(__always)
  func place(of position: Int) -> UnsafeMutablePointer<Record> {
    precondition(UInt(bitPattern: position) < UInt(bitPattern: count))
    return records + position
  }

  /// Adds a record behind the others.
  mutating func append(_ record: Record) {
    if count == memory.capacity { grow() }
    (records + count).initialize(to: record)
    count += 1
    memory.count = count
  }

  private mutating func grow() {
    let larger = Memory(capacity: 2 * count)
    larger.records.moveInitialize(from: records, count: count)
    memory.count = 0
    larger.count = count
    memory = larger
    records = larger.records
  }
}
