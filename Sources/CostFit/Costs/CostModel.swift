public import KVMTypes
public import Stage2Model

/// What one unit of a term takes.
public struct CostValue: Hashable, Sendable {
  /// Nanoseconds, 0 or above.
  public var nanoseconds: Double
  /// The standard error of a fitted value.
  public var standardError: Double?
  /// `modelled` for a fitted value, `assumed` for any other.
  public var basis: Basis
  /// Where the value comes from, in words.
  public var source: String

  /// A value and where it comes from.
  public init(nanoseconds: Double, standardError: Double? = nil, basis: Basis, source: String) {
    self.nanoseconds = nanoseconds
    self.standardError = standardError
    self.basis = basis
    self.source = source
  }
}

/// How long stage-2 operations take: the sum over its terms of an amount, which the model counts, times a
/// value in nanoseconds.
///
/// Every time that follows is `modelled`. `quality` tells how far off such times were on data that the values
/// were not fitted to.
public struct CostModel: Hashable, Sendable {
  /// What reports call it.
  public var name: String
  /// Where the values come from, in words.
  public var source: String
  /// How well the values were found to fit; nil if nobody checked.
  public var quality: CostQuality?
  /// The same for a fit whose checked samples lie among the fitted ones: slow changes of the host are in neither
  /// side, so this is what is wrong with the model itself. Nil if nobody checked.
  public var interleavedQuality: CostQuality?
  /// The value of each term. A term without one is unknown, and times leave it out.
  public private(set) var drivers: [CostDriver: CostValue]
  /// Values for the operation itself, by the operation's name, in place of `drivers[.operation]`: functions of
  /// the stage-2 table (`map`, `unmap`) or entry points (`MMUEntryPoint.name`).
  public private(set) var operations: [String: CostValue]

  // The values once more, for times in a loop.
  private var work = WorkCosts()
  private var entryPoints: [Double]

  /// A model. Values must be finite and not negative.
  public init(
    name: String, source: String, drivers: [CostDriver: CostValue], operations: [String: CostValue] = [:],
    quality: CostQuality? = nil, interleavedQuality: CostQuality? = nil
  ) {
    for value in Array(drivers.values) + Array(operations.values) {
      precondition(value.nanoseconds.isFinite && value.nanoseconds >= 0, "no cost")
    }
    self.name = name
    self.source = source
    self.drivers = drivers
    self.operations = operations
    self.quality = quality
    self.interleavedQuality = interleavedQuality
    let other = drivers[.operation]?.nanoseconds ?? 0
    entryPoints = MMUEntryPoint.allCases.map { operations[$0.name]?.nanoseconds ?? other }
    work = WorkCosts(drivers)
  }

  /// The terms that have no value.
  public var unknown: [CostDriver] { CostDriver.allCases.filter { drivers[$0] == nil } }

  /// The time of `work`, without what an operation takes itself.
  public func time(of work: Stage2Work) -> Nanoseconds { Nanoseconds(rounding: self.work.time(work)) }

  /// The time of a section under the lock.
  public func time(of section: LockSection) -> Nanoseconds {
    Nanoseconds(
      rounding: entryPoints[Int(section.entryPoint.rawValue)] + work.time(section.work)
        + work.reschedPoint * Double(section.reschedPoints))
  }

  /// The time of all sections of an entry point together.
  public func time(of totals: LockTotals, _ entryPoint: MMUEntryPoint) -> Nanoseconds {
    Nanoseconds(
      rounding: entryPoints[Int(entryPoint.rawValue)] * Double(totals.acquisitions) + work.time(totals.work)
        + work.reschedPoint * Double(totals.reschedPoints))
  }

  /// What `operation` itself takes, by name: to be looked up once and added to `time(of:)`.
  public func constant(of operation: String) -> Nanoseconds {
    Nanoseconds(rounding: (operations[operation] ?? drivers[.operation])?.nanoseconds ?? 0)
  }
}

/// The values of the terms that `Stage2Work` counts.
private struct WorkCosts: Hashable {
  var hypercall = 0.0
  var pageState = 0.0
  var descriptor = 0.0
  var treeNode = 0.0
  var tablePage = 0.0
  var memcachePage = 0.0
  var cachePage = 0.0
  var tlbInvalidation = 0.0
  var reschedPoint = 0.0

  init() {}

  init(_ drivers: [CostDriver: CostValue]) {
    func value(_ driver: CostDriver) -> Double { drivers[driver]?.nanoseconds ?? 0 }
    hypercall = value(.hypercall)
    pageState = value(.pageState)
    descriptor = value(.descriptor)
    treeNode = value(.treeNode)
    tablePage = value(.tablePage)
    memcachePage = value(.memcachePage)
    cachePage = value(.cachePage)
    tlbInvalidation = value(.tlbInvalidation)
    reschedPoint = value(.reschedPoint)
  }

  func time(_ work: Stage2Work) -> Double {
    let host = descriptor * Double(work.descriptors) + treeNode * Double(work.treeNodes)
    let el2 = hypercall * Double(work.hypercalls) + pageState * Double(work.pageStates)
    let memory = tablePage * Double(work.tablePages) + memcachePage * Double(work.memcachePages)
    return host + el2 + memory + cachePage * Double(work.cachePages)
      + tlbInvalidation * Double(work.tlbInvalidations)
  }
}

extension Nanoseconds {
  /// The nearest whole number of nanoseconds, within the range of the clock.
  init(rounding time: Double) {
    self.init(time >= 0x1p63 ? 1 << 63 : UInt64(max(0, time).rounded()))
  }
}
