public import KVMTypes
public import Stage2Model

/// A discrete-event simulation of one VM's `mmu_lock` and those who use it.
///
/// The lock is the kernel's queued rwlock (`kernel/locking/qrwlock.c`) as it behaves outside interrupts: who
/// cannot have it at once joins one queue in the order of arrival, readers and writers alike. A reader gets
/// it at once only if no writer holds it and nobody waits, so a waiting writer stops later readers.
/// A release lets in the head of the queue: a writer alone, or readers up to the next writer.
///
/// Left out are the nanoseconds in which a new reader can still slip in between two waiters, the cost of
/// passing the lock's cache line on, and that a vCPU may lose its CPU while it holds or waits. A section takes
/// equally long in either mode.
///
/// At one moment holds end before requests are made, and requests come in the order of the clients' numbers:
/// the schedule is determined by the clients alone. Nothing is allocated per event.
public struct LockSimulation<Clients: LockClients>: ~Copyable {
  /// Who uses the lock.
  @usableFromInline var clients: Clients
  /// What the kernel does where kernels differ.
  public let policy: LockPolicy
  /// The simulated time.
  @usableFromInline var now: UInt64 = 0
  @usableFromInline var heap = EventHeap()
  @usableFromInline var queue: WaitQueue
  /// One for each client, then those of waiting and running sections of open clients.
  @usableFromInline var slots: ContiguousArray<Slot>
  /// Slots of open clients' sections that ended.
  @usableFromInline var freeSlots: ContiguousArray<Int> = []
  @usableFromInline let clientCount: Int
  @usableFromInline let readsOnFault: Bool

  // MARK: The lock

  @usableFromInline var readers = 0
  @usableFromInline var isWritten = false
  /// Somebody holds it, or it is being passed on.
  @usableFromInline var isBusy = false
  /// Since when the lock has been held without a pause, by anybody; meaningless while it is free.
  @usableFromInline var busySince: UInt64 = 0
  /// Since when it has been held in the present mode.
  @usableFromInline var modeSince: UInt64 = 0
  @usableFromInline var statistics: LockStatistics

  /// A section of a client, from the moment it was drawn.
  @usableFromInline
  struct Slot {
    /// When it was asked for; once the lock was given, when that was.
    @usableFromInline var since: UInt64 = 0
    /// What it still has to do under the lock, without the piece that it is doing.
    @usableFromInline var hold: UInt64 = 0
    @usableFromInline var client = 0
    /// Pieces that it still consists of, without the piece that it is doing.
    @usableFromInline var pieces: UInt32 = 0
    @usableFromInline var writes = false
    @usableFromInline var isOpen = false

    @inlinable
    init() {}

    /// Takes over what a client does next.
    @inlinable
    @inline(__always)
    mutating func take(_ request: LockRequest, readsOnFault: Bool) {
      hold = request.hold.rawValue
      pieces = request.reschedPoints == .max ? .max : request.reschedPoints &+ 1
      writes =
        switch request.use {
        case .read: false
        case .write: true
        case .fault: !readsOnFault
        }
    }
  }

  /// The lock is free and each client thinks its first think time, from moment 0 on.
  @inlinable
  public init(_ clients: Clients, policy: LockPolicy) {
    self.clients = clients
    self.policy = policy
    clientCount = clients.count
    readsOnFault = policy.faultLock == .read
    queue = WaitQueue(capacity: clientCount)
    slots = ContiguousArray(repeating: Slot(), count: clientCount)
    statistics = LockStatistics(clients: clientCount)
    for client in 0..<clientCount {
      slots[client].client = client
      slots[client].isOpen = self.clients.isOpen(client)
      if let request = self.clients.next(client) {
        slots[client].take(request, readsOnFault: readsOnFault)
        heap.insert(
          LockEvent(time: request.think.rawValue, tag: LockEvent.requestBit | UInt64(client)))
      }
    }
  }

  /// Simulates until the lock was given `acquisitions` more times, the next event would be after `until`, or no
  /// client has a section left: whichever comes first. Can be called again to go on.
  ///
  /// - Returns: whether anything is left to simulate.
  @inlinable
  @discardableResult
  public mutating func run(acquisitions: Int = .max, until: Nanoseconds = Nanoseconds(.max)) -> Bool {
    let (sum, overflows) = statistics.acquisitions.addingReportingOverflow(acquisitions)
    let enough = overflows ? Int.max : sum
    while let event = heap.top {
      if statistics.acquisitions >= enough { return true }
      if event.time > until.rawValue {
        advance(to: max(now, until.rawValue))
        return true
      }
      // Saturated: so far away that the clocks cannot tell.
      if event.time == .max { break }
      advance(to: event.time)
      statistics.events &+= 1
      let slot = Int(truncatingIfNeeded: event.tag & ~LockEvent.requestBit)
      if event.tag & LockEvent.requestBit != 0 {
        if slots[slot].isOpen { arrive(slot) } else { request(slot, replacesTop: true) }
      } else {
        endPiece(slot)
      }
    }
    return false
  }

  /// Forgets what was counted so far, and goes on from the same state: for leaving out the time in which the
  /// queue fills.
  public mutating func discardStatistics() {
    statistics = LockStatistics(clients: clientCount)
    statistics.start = now
  }

  // MARK: Events

  @inlinable
  @inline(__always)
  mutating func advance(to time: UInt64) {
    let step = Double(time &- now)
    statistics.waiterTime += Double(queue.count) * step
    statistics.readerTime += Double(readers) * step
    now = time
  }

  /// The moment `span` from now, the end of time where that is beyond it.
  @inlinable
  @inline(__always)
  func later(_ span: UInt64) -> UInt64 {
    let (time, overflows) = now.addingReportingOverflow(span)
    return overflows ? .max : time
  }

  /// Draws the client's next section into its slot.
  ///
  /// - Returns: when it will be asked for, nil if the client has no more.
  @inlinable
  @inline(__always)
  mutating func draw(_ client: Int) -> UInt64? {
    guard let request = clients.next(client) else { return nil }
    slots[client].take(request, readsOnFault: readsOnFault)
    return later(request.think.rawValue)
  }

  /// An open client's section arrives: it goes on in a slot of its own, and the client's next one is drawn.
  @inlinable
  mutating func arrive(_ client: Int) {
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = free
      slots[slot] = slots[client]
    } else {
      slot = slots.count
      slots.append(slots[client])
    }
    if let time = draw(client) {
      heap.replaceTop(LockEvent(time: time, tag: LockEvent.requestBit | UInt64(client)))
    } else {
      heap.removeTop()
    }
    request(slot, replacesTop: false)
  }

  /// Asks for the lock.
  ///
  /// - Parameter replacesTop: the slot's own event is on top of the heap and is over with.
  @inlinable
  @inline(__always)
  mutating func request(_ slot: Int, replacesTop: Bool) {
    slots[slot].since = now
    let writes = slots[slot].writes
    if queue.count == 0, !isWritten, !writes || readers == 0 {
      let event = grant(slot)
      if replacesTop { heap.replaceTop(event) } else { heap.insert(event) }
    } else {
      queue.append(slot)
      if queue.count > statistics.mostWaiters { statistics.mostWaiters = queue.count }
      if replacesTop { heap.removeTop() }
    }
  }

  /// Gives the lock to a section.
  ///
  /// - Returns: the end of its first piece.
  @inlinable
  @inline(__always)
  mutating func grant(_ slot: Int) -> LockEvent {
    let writes = slots[slot].writes
    if readers == 0 {
      modeSince = now
      if !isBusy {
        isBusy = true
        busySince = now
      }
    }
    if writes { isWritten = true } else { readers &+= 1 }
    statistics.granted(slots[slot].client, writes: writes, waited: now &- slots[slot].since)
    slots[slot].since = now
    return LockEvent(time: nextPiece(slot), tag: UInt64(slot))
  }

  /// Begins the section's next piece.
  ///
  /// - Returns: when it ends.
  @inlinable
  @inline(__always)
  mutating func nextPiece(_ slot: Int) -> UInt64 {
    let pieces = slots[slot].pieces
    slots[slot].pieces = pieces &- 1
    if pieces == 1 { return later(slots[slot].hold) }
    let piece = slots[slot].hold / UInt64(pieces)
    slots[slot].hold &-= piece
    return later(piece)
  }

  /// A piece of a section ends, and with the last piece the section.
  @inlinable
  mutating func endPiece(_ slot: Int) {
    if slots[slot].pieces > 0 {
      if queue.count == 0 || !policy.dropsWhenContended {
        heap.replaceTop(LockEvent(time: nextPiece(slot), tag: UInt64(slot)))
        return
      }
      statistics.drops &+= 1
      heap.removeTop()
      release(slot)
      request(slot, replacesTop: false)
      return
    }
    statistics.sections[slots[slot].client] &+= 1
    if slots[slot].isOpen {
      heap.removeTop()
      release(slot)
      freeSlots.append(slot)
    } else {
      // The client's next request takes the place of the event before those let in add theirs.
      let client = slot
      let writes = slots[slot].writes
      let since = slots[slot].since
      if let time = draw(client) {
        heap.replaceTop(LockEvent(time: time, tag: LockEvent.requestBit | UInt64(client)))
      } else {
        heap.removeTop()
      }
      release(client, writes: writes, since: since)
    }
    endChainIfFree()
  }

  @inlinable
  @inline(__always)
  mutating func release(_ slot: Int) {
    release(slots[slot].client, writes: slots[slot].writes, since: slots[slot].since)
  }

  /// Gives up the lock that `client` got at `since`, and lets in who may have it now.
  @inlinable
  @inline(__always)
  mutating func release(_ client: Int, writes: Bool, since: UInt64) {
    statistics.released(client, writes: writes, held: now &- since)
    if writes {
      isWritten = false
      statistics.writtenTime &+= now &- max(modeSince, statistics.start)
    } else {
      readers &-= 1
      if readers == 0 { statistics.readTime &+= now &- max(modeSince, statistics.start) }
    }
    while queue.count > 0, !isWritten {
      let slot = queue.first
      if slots[slot].writes, readers > 0 { break }
      queue.removeFirst()
      heap.insert(grant(slot))
    }
  }

  /// Notes the chain of holds that ended if nobody has the lock.
  @inlinable
  @inline(__always)
  mutating func endChainIfFree() {
    if readers > 0 || isWritten { return }
    isBusy = false
    statistics.note(chainFrom: busySince, to: now)
  }
}
