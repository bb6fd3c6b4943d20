// The messages of a Perfetto trace that are written, and the numbers of their fields
// (protos/perfetto/trace/perfetto_trace.proto). All of them stand here, and nowhere else.

/// Trace: the file.
enum TraceField {
  static let packet: UInt32 = 1
}

/// TracePacket.
enum PacketField {
  static let clockSnapshot: UInt32 = 6
  static let timestamp: UInt32 = 8
  static let trustedPacketSequenceID: UInt32 = 10
  static let trackEvent: UInt32 = 11
  static let internedData: UInt32 = 12
  static let sequenceFlags: UInt32 = 13
  static let tracePacketDefaults: UInt32 = 59
  static let trackDescriptor: UInt32 = 60
  static let firstPacketOnSequence: UInt32 = 87

  /// SEQ_INCREMENTAL_STATE_CLEARED: what was interned before on this sequence is void.
  static let stateCleared: UInt64 = 1
  /// SEQ_NEEDS_INCREMENTAL_STATE: the packet refers to what was interned before.
  static let needsState: UInt64 = 2
}

/// TracePacketDefaults.
enum DefaultsField {
  static let timestampClockID: UInt32 = 58
}

/// ClockSnapshot, and its Clock.
enum ClockSnapshotField {
  static let clocks: UInt32 = 1
  static let primaryTraceClock: UInt32 = 2
  static let clockID: UInt32 = 1
  static let clockTimestamp: UInt32 = 2
}

/// InternedData, and its entries: EventCategory, EventName, DebugAnnotationName and InternedString.
enum InternedField {
  static let eventCategories: UInt32 = 1
  static let eventNames: UInt32 = 2
  static let debugAnnotationNames: UInt32 = 3
  static let debugAnnotationStringValues: UInt32 = 29
  static let entryID: UInt32 = 1
  static let entryText: UInt32 = 2
}

/// TrackDescriptor.
enum TrackField {
  static let uuid: UInt32 = 1
  static let name: UInt32 = 2
  static let process: UInt32 = 3
  static let thread: UInt32 = 4
  static let parentUUID: UInt32 = 5
  static let counter: UInt32 = 8
  static let description: UInt32 = 14
}

/// ProcessDescriptor.
enum ProcessField {
  static let pid: UInt32 = 1
  static let processName: UInt32 = 6
  static let processLabels: UInt32 = 8
}

/// ThreadDescriptor.
enum ThreadField {
  static let pid: UInt32 = 1
  static let tid: UInt32 = 2
  static let threadName: UInt32 = 5
}

/// CounterDescriptor.
enum CounterField {
  static let unit: UInt32 = 3
  static let unitName: UInt32 = 6
}

/// CounterDescriptor.Unit.
enum CounterUnit: UInt64 {
  case count = 2
  case sizeBytes = 3
}

/// TrackEvent.
enum EventField {
  static let categoryIIDs: UInt32 = 3
  static let debugAnnotations: UInt32 = 4
  static let type: UInt32 = 9
  static let nameIID: UInt32 = 10
  static let trackUUID: UInt32 = 11
  static let name: UInt32 = 23
  static let counterValue: UInt32 = 30
  static let doubleCounterValue: UInt32 = 44
  static let flowIDs: UInt32 = 47
}

/// TrackEvent.Type.
enum EventType: UInt64 {
  case sliceBegin = 1
  case sliceEnd = 2
  case instant = 3
  case counter = 4
}

/// DebugAnnotation.
enum AnnotationField {
  static let nameIID: UInt32 = 1
  static let boolValue: UInt32 = 2
  static let uintValue: UInt32 = 3
  static let intValue: UInt32 = 4
  static let stringValue: UInt32 = 6
  static let pointerValue: UInt32 = 7
  static let name: UInt32 = 10
  static let stringValueIID: UInt32 = 17
}
