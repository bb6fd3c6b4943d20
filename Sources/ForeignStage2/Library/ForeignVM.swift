internal import CStage2Backend
internal import Stage2Model

/// A VM of a shared object, which is made when it is asked for first: a replay knows of VMs long before it is their turn, and a backend
/// has room for as many as a host has at once.
///
/// Invariant: `effects` points to initialised effects until this is gone.
final class ForeignVM {
  private enum Life {
    case awaited
    case living(OpaquePointer)
    /// It was released, or could not be made.
    case gone
  }

  private let library: BackendLibrary
  private let shape: ForeignShape
  private let effects: UnsafeMutablePointer<ForeignEffects>
  private var life = Life.awaited

  init(_ library: BackendLibrary, _ shape: ForeignShape, _ effects: UnsafeMutablePointer<ForeignEffects>) {
    self.library = library
    self.shape = shape
    self.effects = effects
  }

  /// The VM; nil where the backend refused to make it, and when it is gone.
  @inline(__always)
  var pointer: OpaquePointer? {
    switch life {
    case .living(let vm): vm
    case .awaited: make()
    case .gone: nil
    }
  }

  /// Whether it was asked for.
  var isMade: Bool { if case .awaited = life { false } else { true } }

  /// The VM is gone.
  func release() {
    if case .living(let vm) = life { library.table.pointee.release(vm) }
    life = .gone
  }

  @inline(never)
  private func make() -> OpaquePointer? {
    let vm = create()
    life = vm.map { .living($0) } ?? .gone
    effects.pointee.memory.settle(inTree: nil, isBlock: false)
    return vm
  }

  private func create() -> OpaquePointer? {
    var config = s2_config()
    config.size = UInt32(MemoryLayout<s2_config>.size)
    config.path = shape.isPKVM ? S2_PATH_PKVM.rawValue : S2_PATH_TRADITIONAL.rawValue
    config.ipa_bits = UInt32(shape.ipaBits)
    config.pa_bits = UInt32(shape.paBits)
    config.features = shape.features
    config.is_protected = shape.isProtected ? 1 : 0
    config.vcpus = UInt32(ForeignShape.vcpus)
    var host = s2_host(telling: effects)
    var why: UnsafePointer<CChar>?
    if let vm = library.table.pointee.create(&config, &host, &why) { return vm }
    let reason = why.map { String(cString: $0) } ?? "it gives no reason"
    if library.refusal == nil { library.refusal = .refusedVM(path: library.path, reason: reason) }
    effects.pointee.refuse(reason)
    return nil
  }
}
