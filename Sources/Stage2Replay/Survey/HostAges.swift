internal import KVMTrace
internal import KVMTypes

/// Where in host memory notifiers aged something (`kvm_age_hva`), in the whole of a trace.
///
/// Reclaim finds what it ages on LRU lists, and hugetlb pages are on none. So a guest's memory that was never aged,
/// though much else was while the guest was there, is taken to be hugetlb. The events do not name their process, so that is an
/// assumption.
struct HostAges {
  /// How much has to be aged elsewhere before that says something of memory that was not.
  static let agesMin = 16
  /// Beyond that many places nothing is concluded.
  static let placesMax = 1 << 18
  private static let placeShift: UInt64 = 21

  /// Beyond that many spans two are made one, so that a VM has to have seen twice as much.
  private static let spansMax = 1 << 12

  /// When things were aged, `spanLength` of them at a time, counted from the trace's beginning: the first and the last moment.
  private var spans: [ClosedRange<Nanoseconds>] = []
  /// The last of them, and how many it has so far.
  private var span = Nanoseconds(0)...Nanoseconds(0)
  private var spanCount = 0
  private var spanLength = agesMin
  /// When VMs were destroyed (`kvm_arch_destroy_vm`), by the address of their `struct kvm`.
  private var ends: [FrameKey: [Nanoseconds]] = [:]
  private var places: Set<FrameKey> = []
  /// The last one: neighbours are aged one after the other.
  private var last: UInt64?

  /// kvm_age_hva.
  mutating func note(_ range: HVARange, at time: Nanoseconds) {
    span = spanCount == 0 ? time...time : min(span.lowerBound, time)...max(span.upperBound, time)
    spanCount += 1
    if spanCount == spanLength { endSpan() }
    let place = range.start.rawValue >> Self.placeShift
    guard place != last else { return }
    last = place
    if places.count < Self.placesMax { places.insert(FrameKey(place)) }
  }

  private mutating func endSpan() {
    spans.append(span)
    spanCount = 0
    guard spans.count == Self.spansMax else { return }
    spans = stride(from: 0, to: spans.count, by: 2).map {
      let (one, next) = (spans[$0], spans[$0 + 1])
      return min(one.lowerBound, next.lowerBound)...max(one.upperBound, next.upperBound)
    }
    spanLength *= 2
  }

  /// A VM is destroyed.
  mutating func note(endOf kvm: KernelAddress, at time: Nanoseconds) {
    ends[FrameKey(kvm.rawValue), default: []].append(time)
  }

  /// Whether much was aged while a VM was there.
  private func isMuch(during life: VMLife) -> Bool {
    let known = life.kvm.flatMap { self.ends[FrameKey($0.rawValue)] } ?? []
    let end = known.filter { $0 > life.since }.min() ?? Nanoseconds(.max)
    return spans.contains { $0.lowerBound >= life.since && $0.upperBound <= end }
  }

  /// Whether memory of a VM was left out where much was aged.
  func skip(_ hva: HVA, bytes: UInt64, of life: VMLife) -> Bool {
    guard isMuch(during: life), places.count < Self.placesMax, bytes > 0 else { return false }
    let first = hva.rawValue >> Self.placeShift
    let last = (hva.rawValue &+ (bytes - 1)) >> Self.placeShift
    guard first <= last else { return false }
    if last - first < UInt64(places.count) {
      return !(first...last).contains { places.contains(FrameKey($0)) }
    }
    return !places.contains { first <= $0.value && $0.value <= last }
  }
}

/// Since when a VM is there, and what tells its end.
struct VMLife {
  /// From the beginning where it ran before the trace.
  var since: Nanoseconds
  /// The address of its `struct kvm`, nil while nothing told it.
  var kvm: KernelAddress?
}
