internal import KVMTypes

/// Packets of one sequence on their way to a file, which get there as they come.
final class PacketWriter {
  /// So many bytes wait at most.
  private static let bytesMax = 1 << 16

  private let sequence: UInt64
  private let clock: RecordingClock
  private let sink: (UnsafeRawBufferPointer) throws -> Void
  private var buffer = WireBuffer()
  private var hasBegun = false
  /// Whether what had to be said of the clock is said.
  private var statesClock: Bool

  /// - Parameter sink: takes the bytes of the file, in their order.
  init(
    _ identity: TrackIdentity, _ clock: RecordingClock,
    sink: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) {
    sequence = identity.sequence
    self.clock = clock
    self.sink = sink
    statesClock = !clock.isStated
  }

  /// Describes a track. One that is described again gets another name.
  func describe(_ uuid: UInt64, _ body: (inout WireBuffer) -> Void) throws {
    try packet { packet in
      packet.message(PacketField.trackDescriptor) { track in
        track.varint(TrackField.uuid, uuid)
        body(&track)
      }
    }
  }

  /// Writes an event on a track.
  @inline(__always)
  func event(
    _ type: EventType, at time: Nanoseconds, on track: UInt64, _ body: (inout WireBuffer) -> Void
  ) throws {
    if !statesClock { try stateClock(at: time) }
    try packet { packet in
      packet.varint(PacketField.timestamp, time.rawValue)
      packet.message(PacketField.trackEvent) { event in
        event.varint(EventField.type, type.rawValue)
        event.varint(EventField.trackUUID, track)
        body(&event)
      }
    }
  }

  /// Hands on what waits.
  func flush() throws {
    if !hasBegun { try begin() }
    try buffer.bytes.withUnsafeBytes { try sink($0) }
    buffer.removeAll()
  }

  @inline(__always)
  private func packet(_ body: (inout WireBuffer) -> Void) throws {
    if !hasBegun { try begin() }
    let sequence = sequence
    buffer.message(TraceField.packet) { packet in
      packet.varint(PacketField.trustedPacketSequenceID, sequence)
      packet.varint(PacketField.sequenceFlags, PacketField.needsState)
      body(&packet)
    }
    if buffer.bytes.count >= Self.bytesMax { try flush() }
  }

  /// The first packet has the words of all others, and says of which clock their stamps are.
  private func begin() throws {
    hasBegun = true
    let (sequence, clock) = (sequence, clock)
    buffer.message(TraceField.packet) { packet in
      packet.varint(PacketField.trustedPacketSequenceID, sequence)
      packet.varint(PacketField.sequenceFlags, PacketField.stateCleared | PacketField.needsState)
      packet.varint(PacketField.firstPacketOnSequence, 1)
      packet.vocabulary()
      guard let id = clock.id else { return }
      packet.message(PacketField.tracePacketDefaults) { $0.varint(DefaultsField.timestampClockID, id) }
    }
  }

  /// A trace's own time is that of CLOCK_BOOTTIME unless it says otherwise, and no snapshot would lead there.
  private func stateClock(at time: Nanoseconds) throws {
    statesClock = true
    guard let id = clock.id else { return }
    try packet { packet in
      packet.message(PacketField.clockSnapshot) { snapshot in
        snapshot.message(ClockSnapshotField.clocks) { clock in
          clock.varint(ClockSnapshotField.clockID, id)
          clock.varint(ClockSnapshotField.clockTimestamp, time.rawValue)
        }
        snapshot.varint(ClockSnapshotField.primaryTraceClock, id)
      }
    }
  }
}
