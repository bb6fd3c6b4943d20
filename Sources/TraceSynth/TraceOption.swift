/// An option of a trace.dat file. Options that point at sections and buffers are the writer's own.
public enum TraceOption: Sendable {
  /// One measurement of the offset between a guest's clock and its host's.
  public struct TimeSample: Hashable, Sendable {
    /// When it was taken, in the file's own clock.
    public var time: UInt64
    /// What to add.
    public var offset: Int64
    /// What to multiply with first, in units of 2^-fraction.
    public var scaling: UInt64
    /// Fraction bits of `scaling`.
    public var fraction: UInt64

    /// A measurement.
    public init(time: UInt64, offset: Int64, scaling: UInt64 = 1, fraction: UInt64 = 0) {
      self.time = time
      self.offset = offset
      self.scaling = scaling
      self.fraction = fraction
    }
  }

  /// Microseconds to add to every time stamp.
  case date(microseconds: Int64)
  /// What one CPU's ring buffer says of itself: overruns and dropped events among it.
  case cpuStat(String)
  /// The text of `trace_clock`, the active clock in brackets.
  case clock(String)
  /// Kernel release and machine.
  case uname(String)
  /// The recorder's version.
  case version(String)
  /// Nanoseconds to add to every time stamp.
  case offset(nanoseconds: Int64)
  /// The number of CPUs; overrides the one in a v6 file's fixed part.
  case cpuCount(UInt32)
  /// The address map of a traced process.
  case procMaps(String)
  /// The number that joins the files of a host and its guests.
  case traceID(UInt64)
  /// How to turn a guest's time stamps into its host's, per CPU.
  case timeShift(peer: UInt64, interpolate: Bool, cpus: [[TimeSample]], withFractions: Bool)
  /// A guest that was traced along: which host thread runs which vCPU.
  case guest(name: String, traceID: UInt64, vcpus: [(vcpu: UInt32, pid: UInt32)])
  /// Ticks to nanoseconds: multiply, shift right.
  case ticksToNanoseconds(multiplier: UInt32, shift: UInt32, offset: UInt64)
  /// Any option, also one that no reader knows.
  case raw(id: UInt16, bytes: [UInt8])

  /// The option's number in the file.
  public var id: UInt16 {
    switch self {
    case .date: 1
    case .cpuStat: 2
    case .clock: 4
    case .uname: 5
    case .offset: 7
    case .cpuCount: 8
    case .version: 9
    case .procMaps: 10
    case .traceID: 11
    case .timeShift: 12
    case .guest: 13
    case .ticksToNanoseconds: 14
    case .raw(let id, _): id
    }
  }

  /// The option's data.
  public func payload(_ byteOrder: TraceFlavour.ByteOrder) -> [UInt8] {
    var data = TraceBytes(byteOrder)
    switch self {
    case .date(let microseconds):
      let sign = microseconds < 0 ? "-" : ""
      data.cString("\(sign)0x\(String(microseconds.magnitude, radix: 16))")
    case .cpuStat(let text), .clock(let text), .uname(let text), .version(let text), .procMaps(let text):
      data.cString(text)
    case .offset(let nanoseconds):
      data.cString(String(nanoseconds))
    case .cpuCount(let count):
      data.u32(count)
    case .traceID(let id):
      data.u64(id)
    case .timeShift(let peer, let interpolate, let cpus, let withFractions):
      data.u64(peer)
      data.u32(interpolate ? 1 : 0)
      data.u32(UInt32(cpus.count))
      for samples in cpus {
        data.u32(UInt32(samples.count))
        for sample in samples { data.u64(sample.time) }
        for sample in samples { data.u64(UInt64(bitPattern: sample.offset)) }
        for sample in samples { data.u64(sample.scaling) }
      }
      if withFractions {
        for samples in cpus {
          for sample in samples { data.u64(sample.fraction) }
        }
      }
    case .guest(let name, let traceID, let vcpus):
      data.cString(name)
      data.u64(traceID)
      data.u32(UInt32(vcpus.count))
      for (vcpu, pid) in vcpus {
        data.u32(vcpu)
        data.u32(pid)
      }
    case .ticksToNanoseconds(let multiplier, let shift, let offset):
      data.u32(multiplier)
      data.u32(shift)
      data.u64(offset)
    case .raw(_, let bytes):
      data.raw(bytes)
    }
    return data.bytes
  }
}
