internal import CStage2Backend

// What a backend calls while it works. Each callback gets, as `user`, where the effects of the VM lie that is being called.
//
// Invariant: `user` points to initialised `ForeignEffects` for as long as the VM exists, a backend calls only while a function of that VM
// runs, and strings that it hands over end with a zero.

extension s2_host {
  /// The callbacks, for a VM whose effects lie at `effects`.
  init(telling effects: UnsafeMutablePointer<ForeignEffects>) {
    self.init()
    size = UInt32(MemoryLayout<s2_host>.size)
    user = UnsafeMutableRawPointer(effects)
    hypercall = { user, name, count, arguments, result in
      guard let user, let name else { return }
      let arguments = UnsafeBufferPointer(start: arguments, count: arguments == nil ? 0 : Int(count))
      s2_host.effects(user).pointee.hypercall(name, arguments, result: result)
    }
    warning = { user, file, line, condition in
      guard let user, let file else { return }
      s2_host.effects(user).pointee.warning(file, line: line, condition)
    }
    panic = { user, file, line, text in
      guard let user else { return }
      s2_host.effects(user).pointee.panic(file, line: line, text)
    }
    maintenance = { user, kind, ipa, size in
      guard let user else { return }
      s2_host.effects(user).pointee.maintenance(kind, ipa: ipa, size: size)
    }
    memory = { user, object, level, count, bytes in
      guard let user else { return }
      s2_host.effects(user).pointee.memory(object, level: level, count: count, bytes: bytes)
    }
  }

  @inline(__always)
  private static func effects(_ user: UnsafeMutableRawPointer) -> UnsafeMutablePointer<ForeignEffects> {
    user.assumingMemoryBound(to: ForeignEffects.self)
  }
}
