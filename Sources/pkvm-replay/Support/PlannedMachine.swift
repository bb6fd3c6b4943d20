import ArgumentParser
import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay

/// The machine of a plan: what options say of it, else what the recordings tell, with the basis of each.
struct PlannedMachine {
  /// `--profile`, nil where it was not given.
  private let given: ProfileRequest?
  /// `--page-size`, nil where it was not given.
  private let stated: PageSize?
  /// Whether the recordings are of hosts of different page sizes: then each has its own, and the plan the stated one.
  private let isMixed: Bool

  /// - Throws: status 64 where `--page-size` contradicts the profile, and where nothing decides between the page sizes of
  ///   the recordings.
  init(_ given: ProfileRequest?, name: String?, stated: PageSize?, _ traces: [TraceFile]) throws {
    self.given = given
    self.stated = stated
    if let stated, let size = given?.pageSize, size != stated {
      throw Diagnostics.failure(
        "--page-size \(Self.text(stated)) contradicts \(name ?? "the profile"), which states pages of \(Self.text(size)): "
          + "leave out one of the two", .usage)
    }
    let sizes = traces.count > 1 ? traces.map { ($0.path, HostPageSize(of: $0).pageSize) } : []
    let other = sizes.first { $0.1 != sizes[0].1 }
    isMixed = other != nil
    if let other, stated == nil, given?.pageSize == nil {
      throw Diagnostics.failure(
        "the recordings are of hosts of different page sizes, \(sizes[0].0) of \(Self.text(sizes[0].1)) and \(other.0) of "
          + "\(Self.text(other.1)): say with --page-size for which to plan", .usage)
    }
  }

  /// What is known of the host of each recording.
  var traced: ProfileRequest {
    var request = ProfileRequest()
    request.pageSize = tracedPageSize
    return request
  }

  /// The page size that each recording is read with, nil where it tells its own.
  var tracedPageSize: PageSize? { isMixed ? nil : stated }

  /// The kernel to plan for, nil for that of the recordings.
  var host: ProfileRequest? {
    guard var request = given else { return nil }
    if let stated { request.pageSize = stated }
    return request
  }

  /// The plan's machine.
  func request(
    vms: Int, memory: MemorySize, vcpus: Int, _ recordings: [CapacityRecording]
  ) throws
    -> CapacityRequest
  {
    let profiles = recordings.map(\.result.profile)
    let size = stated ?? given?.pageSize
    let first = profiles.first { $0.pageSize == size } ?? profiles.first
    var profile = first?.profile ?? Profile(path: .pkvm, era: .v7_3)
    if given != nil || size.map({ $0 != profile.pageSize }) ?? false {
      var request = given ?? ProfileRequest()
      if let size { request.pageSize = size }
      do {
        profile = try request.profile(on: first?.profile)
      } catch {
        throw Diagnostics.failure("the host of the plan: \(error.description)", .usage)
      }
    }
    func basis(_ field: ProfileField.ID) -> Basis {
      guard let first, profile[field] == first.profile[field] else { return .assumed }
      return first.basis[field] ?? .assumed
    }
    var plan = CapacityRequest(
      vms: vms, memoryBytes: memory.bytes, vcpus: vcpus, profile: profile,
      pgdPages: given == nil && profile.pageSize == first?.pageSize ? first?.pgdPages : nil)
    plan.pageSizeBasis = basis(.pageSize)
    plan.ipaBasis = basis(.ipaBits)
    let statesIPA = given?.profile != nil || given?.fields["ipaBits"] != nil
    if first != nil, plan.ipaBasis == .assumed, !statesIPA { plan.growIPA() }
    return plan
  }

  private static func text(_ size: PageSize) -> String { "\(size.bytes / 1024)K" }
}
