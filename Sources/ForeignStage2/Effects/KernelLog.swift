package import Stage2Model

/// What the kernel of a backend tells of itself in one VM: that it stopped, and what it warned of.
package final class KernelLog {
  /// Why the kernel has stopped, which is not called any more for the VM; nil as long as it goes on.
  package private(set) var panic: EffectNames.Name?
  /// What was called for when it stopped; nil where nobody said.
  package private(set) var panicCause: CallCause?
  /// How often it warned, by what it warned of.
  package private(set) var warnings: [EffectNames.Name: Int] = [:]
  /// What is called for now.
  var cause: CallCause?

  package init() {}

  /// The kernel stops. What it says of it first counts.
  func stop(_ name: EffectNames.Name) {
    guard panic == nil else { return }
    (panic, panicCause) = (name, cause)
  }

  /// The kernel warns.
  func warn(_ name: EffectNames.Name) { warnings[name, default: 0] &+= 1 }
}
