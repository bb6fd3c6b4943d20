public import CostFit
public import KVMTrace
internal import KVMTypes
public import Stage2Model
public import Stage2Replay

/// What one recording tells a planner.
public struct CapacityRecording: Sendable {
  /// What was recorded, as its own kernel did it.
  public let result: ReplayResult
  /// Its VMs.
  public let samples: [VMSample]
  private let name: String
  private let position: Int

  /// The options that a replay for a plan needs.
  public static var options: ReplayOptions {
    var options = ReplayOptions()
    options.measuresWork = true
    options.keepsSections = true
    return options
  }

  /// What a replay with `options` found.
  ///
  /// - Parameter others: the least and the most that the recording allows under the planned kernel, where that is another
  ///   one.
  public init(
    _ name: String, position: Int, _ result: ReplayResult,
    others: (least: ReplayResult, most: ReplayResult)? = nil
  ) {
    self.name = name
    self.position = position
    self.result = result
    samples = result.vms.compactMap { vm in
      let sample = VMSample(name, input: position, vm, of: result)
      guard let others, vm.id < min(others.least.vms.count, others.most.vms.count) else { return sample }
      return sample?.under(
        others.least.profile.profile, least: others.least.vms[vm.id], most: others.most.vms[vm.id])
    }
  }

  /// Replays `trace`, of whose host `traced` is known, and once more for the least and the most under `host`, where that is
  /// another kernel with pages of the same size.
  public static func replay(
    _ trace: TraceFile, name: String, position: Int, traced: ProfileRequest = ProfileRequest(),
    memslots: MemslotHistory?, host: ProfileRequest?
  ) throws -> (CapacityRecording, EventStatistics) {
    var options = Self.options
    options.memslots = memslots
    let (result, statistics) = try Replay.run(trace, profile: traced, options: options)
    let recorded = result.profile.profile
    guard let host, let planned = try? host.profile(on: recorded),
      VMSample.Kind(planned) != VMSample.Kind(recorded), planned.pageSize == recorded.pageSize
    else { return (CapacityRecording(name, position: position, result), statistics) }
    func under(_ extent: OtherKernel.Extent) throws -> ReplayResult {
      var options = ReplayOptions()
      options.memslots = memslots
      options.otherKernel = OtherKernel(host, extent)
      return try Replay.run(trace, profile: traced, options: options).result
    }
    let others = (least: try under(.least), most: try under(.most))
    return (CapacityRecording(name, position: position, result, others: others), statistics)
  }

  /// The lock of each VM with the planned vCPUs.
  func mmuLock(_ request: CapacityRequest) -> [MMULockUse] {
    result.vms.compactMap {
      MMULockUse(name, input: position, $0, recordedOn: result.profile.profile, for: request)
    }
  }

  /// What its VMs ask of the host lock; nothing of a host without pKVM.
  func hostLockLoads(_ costs: CostModel) -> [HostLockLoad] {
    guard result.profile.profile.isPKVM, result.measuresTime else { return [] }
    // Where not all calls are told, no rate of them is the VM's.
    return result.vms.filter { Certainty(result, of: $0).tellsHypercalls }
      .compactMap { HostLockLoad(name, input: position, $0, costs) }
  }
}

extension CapacityPlan {
  /// The plan for `request` from `recordings`.
  ///
  /// - Parameter costs: of the host lock; else they are fitted to what the recordings of pKVM hosts have, and where that is
  ///   nothing, assumed.
  public init(
    _ request: CapacityRequest, _ recordings: [CapacityRecording], costs: CostModel?
  ) throws(Stage2Geometry.Failure) {
    var hostLock: HostLockPlan?
    if request.profile.isPKVM {
      let model = costs ?? Self.fitted(recordings) ?? CostModel.assumed
      hostLock = HostLockPlan(recordings.flatMap { $0.hostLockLoads(model) }, model, vms: request.vms)
    }
    try self.init(
      request, recordings.flatMap(\.samples), mmuLock: recordings.flatMap { $0.mmuLock(request) },
      hostLock: hostLock)
  }

  private static func fitted(_ recordings: [CapacityRecording]) -> CostModel? {
    let results = recordings.map(\.result).filter { $0.profile.profile.isPKVM }
    let calibration = Calibration(
      name: "fitted", source: "least squares over the recordings of the plan", results)
    guard calibration.model.quality?.operations["map"].map({ $0.fitted > 0 && $0.checked > 0 }) ?? false
    else { return nil }
    return calibration.model
  }
}
