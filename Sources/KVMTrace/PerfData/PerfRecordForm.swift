/// How long the records of a type can be, by include/uapi/linux/perf_event.h for those of the kernel, tools/lib/perf/include/perf/event.h
/// for those of perf: what is shorter or longer is something else, whose type is damaged.
enum PerfRecordForm {
  /// So many bytes.
  case exactly(Int)
  /// So many bytes, and more.
  case atLeast(Int)
  /// A head, and any number of entries.
  case entries(behind: Int, each: Int)

  /// The form of a type; nil for a type that perf has not.
  init?(_ type: UInt32) {
    guard let form = type < 64 ? Self.kernels(type) : Self.perfs(type) else { return nil }
    self = form
  }

  /// Whether a record can have `size` bytes, apart from what ends all records of its event.
  func allows(_ size: Int) -> Bool {
    switch self {
    case .exactly(let bytes): size == bytes
    case .atLeast(let bytes): size >= bytes
    case .entries(let head, let each): size >= head && (size - head) % each == 0
    }
  }

  private static func kernels(_ type: UInt32) -> PerfRecordForm? {
    switch type {
    // MMAP, with a name that eight bytes hold; MMAP2.
    case 1: .atLeast(48)
    case 10: .atLeast(80)
    case PerfRecord.Kind.lost: .exactly(24)
    case PerfRecord.Kind.comm: .atLeast(24)
    // EXIT, THROTTLE, UNTHROTTLE, AUX.
    case 4, 5, 6, 11, PerfRecord.Kind.fork: .exactly(32)
    case 8, PerfRecord.Kind.sample: .atLeast(16)
    // ITRACE_START, SWITCH_CPU_WIDE, AUX_OUTPUT_HW_ID.
    case 12, 15, 21, PerfRecord.Kind.lostSamples: .exactly(16)
    // SWITCH.
    case 14: .exactly(8)
    case 16: .entries(behind: 24, each: 16)
    // KSYMBOL, CGROUP, TEXT_POKE, CALLCHAIN_DEFERRED; BPF_EVENT.
    case 17, 19, 20, 22: .atLeast(24)
    case 18: .exactly(24)
    default: nil
    }
  }

  private static func perfs(_ type: UInt32) -> PerfRecordForm? {
    switch type {
    case PerfRecord.Kind.headerAttribute: .atLeast(8 + PerfAttribute.bytesMin)
    // EVENT_TYPE, which nobody writes any more; BUILD_ID.
    case 65: .exactly(80)
    case 67: .atLeast(36)
    case PerfRecord.Kind.headerTracingData: .atLeast(12)
    // FINISHED_ROUND, FINISHED_INIT.
    case 68, 82: .exactly(8)
    // For each instance more, where guests are recorded.
    case PerfRecord.Kind.idIndex: .entries(behind: 16, each: 16)
    // AUXTRACE_INFO, CPU_MAP, BPF_METADATA, SCHEDSTAT_CPU, SCHEDSTAT_DOMAIN.
    case 70, 74, 84, 85, 86, PerfRecord.Kind.headerFeature: .atLeast(16)
    case PerfRecord.Kind.auxtrace, 76: .exactly(48)
    // AUXTRACE_ERROR, EVENT_UPDATE, TIME_CONV.
    case 72, 78: .atLeast(24)
    case 79: .atLeast(32)
    // THREAD_MAP: a number and a name of 16 bytes each; STAT_CONFIG.
    case 73: .entries(behind: 16, each: 24)
    case 75: .entries(behind: 16, each: 16)
    case 77: .exactly(24)
    case PerfRecord.Kind.compressed: .atLeast(8)
    case PerfRecord.Kind.compressed2: .atLeast(16)
    default: nil
    }
  }
}

extension PerfEvents {
  /// Whether there can be such a record of the kernel's, or one that perf made up in its form: it is as long as those of its type are, and
  /// where these need not have one length, says at its end of which event it is, if it has room for that. What was made up for threads that
  /// were there before has zeros there.
  func allows(_ record: PerfRecord) -> Bool {
    guard let form = PerfRecordForm(record.type) else { return false }
    guard let first = attributes.first?.layout.trailer else { return true }
    let trailer = trailer(of: record) ?? first
    guard form.allows(record.size - trailer.bytes) else { return false }
    if case .exactly = form { return true }
    guard trailer.idFromEnd > 0, event(id: record.word64(record.size - trailer.idFromEnd)) == nil else {
      return true
    }
    let end = UnsafeRawBufferPointer(
      start: record.base + (record.size - trailer.bytes), count: trailer.bytes)
    return end.allSatisfy { $0 == 0 }
  }
}
