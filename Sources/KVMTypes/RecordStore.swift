/// Records that are told apart by their position, and changed field by field where they lie.
///
/// An array asks at every change whether it is the only one that knows its storage: 2 % of a replay's time, for a thread or
/// a fault is changed several times by each event. This does not ask, for it cannot be copied. It touches raw memory; what
/// makes that safe:
/// - Positions below `count` hold records. `append` adds to them. `removeAll` takes all of them out, and `popLast` the last
///   one, where records are nothing but bytes.
/// - Nobody else knows the memory, which is given back with the store. An address that `place` hands out is used before
///   the next `append`.
@frozen
@usableFromInline
package struct RecordStore<Record: ~Copyable>: ~Copyable {
  /// Nothing that may be read while `capacity` is 0: many a VM has no use for most of its stores.
  @usableFromInline var records = UnsafeMutablePointer<Record>(bitPattern: 64)!
  @usableFromInline var capacity = 0
  /// How many records there are.
  @usableFromInline package internal(set) var count = 0

  /// No records.
  @inlinable
  package init() {}

  @inlinable
  deinit {
    records.deinitialize(count: count)
    if capacity > 0 { records.deallocate() }
  }

  /// Memory for as many records. One that fills lines of the cache has lines of its own; others do without, for memory of any other
  /// alignment than that of the allocator costs several times as much.
  @inlinable
  static func memory(_ capacity: Int) -> UnsafeMutablePointer<Record> {
    let stride = MemoryLayout<Record>.stride
    return UnsafeMutableRawPointer.allocate(
      byteCount: capacity * stride, alignment: stride % 64 == 0 ? 64 : MemoryLayout<Record>.alignment
    ).bindMemory(to: Record.self, capacity: capacity)
  }

  /// The record at a position.
  @inlinable
  package subscript(position: Int) -> Record {
    @inline(__always) unsafeAddress { UnsafePointer(place(of: position)) }
    @inline(__always) unsafeMutableAddress { place(of: position) }
  }

  /// Where the record at a position lies, for a subscript of whoever has this store: an accessor that hands a record on as a
  /// coroutine is called for each field.
  @inlinable @inline(__always)
  package func place(of position: Int) -> UnsafeMutablePointer<Record> {
    precondition(UInt(bitPattern: position) < UInt(bitPattern: count))
    return records + position
  }

  /// Adds a record behind the others.
  @inlinable @inline(__always)
  package mutating func append(_ record: consuming Record) {
    if count == capacity { grow(to: count + 1) }
    (records + count).initialize(to: record)
    count += 1
  }

  /// Room for one record more, which the caller writes there before anything else. It counts already, and holds no record until
  /// then: so only for records that are nothing but bytes.
  @inlinable @inline(__always)
  package mutating func appendPlace() -> UnsafeMutablePointer<Record> where Record: BitwiseCopyable {
    if count == capacity { grow(to: count + 1) }
    count += 1
    return records + (count - 1)
  }

  /// Takes all out, and keeps the memory for the next ones.
  @inlinable
  package mutating func removeAll() {
    records.deinitialize(count: count)
    count = 0
  }

  @inlinable
  mutating func grow(to least: Int) {
    let wanted = max(2 * capacity, least, 4)
    let larger = Self.memory(wanted)
    larger.moveInitialize(from: records, count: count)
    if capacity > 0 { records.deallocate() }
    records = larger
    capacity = wanted
  }
}

extension RecordStore {
  /// So many equal records.
  @inlinable
  package init(repeating record: Record, count: Int) {
    self.init()
    append(repeating: record, count: count)
  }

  /// Adds so many equal records behind the others.
  @inlinable
  package mutating func append(repeating record: Record, count more: Int) {
    if count + more > capacity { grow(to: count + more) }
    (records + count).initialize(repeating: record, count: more)
    count += more
  }
}

extension RecordStore where Record: BitwiseCopyable {
  /// Takes the last record out.
  @inlinable @inline(__always)
  package mutating func popLast() -> Record? {
    if count == 0 { return nil }
    count -= 1
    return records[count]
  }
}
