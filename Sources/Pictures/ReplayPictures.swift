public import KVMTypes
public import Stage2Replay

/// What a replay looks like over time and address, for those who draw it: it looks at the replay while it goes on.
public final class ReplayPictures {
  /// What is drawn of one VM.
  public struct VM: Sendable {
    /// The VM, as the report numbers them.
    public var id: Int
    /// Its faults over time.
    public var faults: FaultRates
    /// The recorded time under its lock.
    public var lock: LockTimeline
    /// Its memory by address and time; nil where nothing happened to it, and of VMs beyond `heatMapsMax`.
    public var heat: HeatMap?
    /// What its stage 2 had just before the VM was gone; nil for one that is not.
    public var lastMemory: MemorySample?
  }

  /// So many VMs have a heat map, of those that are asked for the first to appear: one takes 2 MB or more.
  public static let heatMapsMax = 64

  private struct Builder {
    var faults: FaultRates
    var lock = LockTimeline()
    var heat: HeatMapBuilder?
  }

  private var pageSize = PageSize.size4K
  private let asked: Set<Int>?
  private let shortest: Nanoseconds
  private var vms: [Int: Builder] = [:]

  /// Nothing has been seen yet.
  ///
  /// - Parameters:
  ///   - asked: the VMs that are drawn, nil for all.
  ///   - isOfTicks: whether the trace's clock counts ticks, not nanoseconds.
  public init(of asked: Set<Int>? = nil, isOfTicks: Bool = false) {
    self.asked = asked
    shortest = EqualIntervals.shortest(isOfTicks: isOfTicks)
  }

  /// What looks at a replay for the pictures. Operations are for `add`.
  public var observer: ReplayObserver {
    var observer = ReplayObserver()
    observer.onBegin = { self.pageSize = $0.pageSize }
    observer.onFault = { fault in
      self.with(fault.vm) {
        $0.faults.add(fault)
        $0.heat?.add(fault)
      }
    }
    observer.onHold = { told in self.with(told.vm) { $0.lock.add(told.hold) } }
    observer.onWait = { told in self.with(told.vm) { $0.lock.add(told.wait) } }
    return observer
  }

  /// An operation was performed.
  public func add(_ operation: Stage2Operation) { with(operation.vm) { $0.heat?.add(operation) } }

  /// The pictures of all VMs, once the replay is over.
  ///
  /// - Parameter last: the last moment of what was replayed.
  public func finish(_ result: ReplayResult, last: Nanoseconds) -> [VM] {
    result.vms.compactMap { vm in
      vms[vm.id].map { builder in
        var heat = heat(of: vm.id, last: last, end: vm.end?.time)
        heat?.gaps = result.gaps
        heat?.told = HeatMap.told(of: vm, result)
        return VM(
          id: vm.id, faults: builder.faults, lock: builder.lock, heat: heat,
          lastMemory: vm.lastMemory.map { MemorySample($0) })
      }
    }
  }

  /// The memory of one VM by address and time.
  ///
  /// - Parameters:
  ///   - last: the last moment of what was replayed.
  ///   - end: when the VM was gone.
  func heat(of vm: Int, last: Nanoseconds, end: Nanoseconds? = nil) -> HeatMap? {
    var builder = vms[vm]?.heat
    return builder?.finish(last: last, end: end)
  }

  private func with(_ vm: Int, _ body: (inout Builder) -> Void) {
    if let asked, !asked.contains(vm) { return }
    if vms[vm] == nil {
      vms[vm] = Builder(
        faults: FaultRates(shortest: shortest),
        heat: vms.count < Self.heatMapsMax ? HeatMapBuilder(vm: vm, pageSize, shortest: shortest) : nil)
    }
    body(&vms[vm]!)
  }
}
