// Where each vCPU of the guest begins, and where it ends when something goes wrong.
#include "layout.h"

    .section .text.start, "ax"
    .global _start
_start:
    mrs x0, mpidr_el1
    and x0, x0, #0xff
    // The stack of vCPU N ends where that of vCPU N + 1 begins.
    mov x1, #BOOT_CODE_SIZE
    add x2, x0, #1
    mov x3, #STACK_SIZE
    madd x1, x2, x3, x1
    mov sp, x1
    adr x1, vectors
    msr vbar_el1, x1
    isb
    bl guest_main
    b stop

// Any exception is one too many: its syndrome goes to the VMM, which ends the guest.
trap:
    mov x0, #DEVICE_IPA
    mrs x1, elr_el1
    str x1, [x0, #REGISTER_ADDRESS]
    mrs x1, esr_el1
    str x1, [x0, #REGISTER_VALUE]
    mov x1, #2
    str x1, [x0, #REGISTER_FAILURE]
stop:
    wfi
    b stop

    .balign 2048
vectors:
    .rept 16
    .balign 128
    b trap
    .endr
