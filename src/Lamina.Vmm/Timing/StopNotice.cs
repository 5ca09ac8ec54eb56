using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;
using Lamina.Personalities.Xen;

namespace Lamina.Vmm.Timing;

/// <summary>
/// Tells a guest that uses KVM's or Xen's clock that it stood still, so that it does not take the time that has passed outside for a lockup: the flag PVCLOCK_GUEST_STOPPED in each processor's time record, which the
/// guest clears (Linux, Documentation/virt/kvm/x86/cpuid.rst and msr.rst; xen/include/public/xen.h). Under KVM, KVM_KVMCLOCK_CTRL does the same.
/// </summary>
internal static class StopNotice
{
    private const uint SystemTime = 0x4b56_4d01;
    private const ulong Enabled = 1;
    private const ulong FlagsOffset = 29;
    private const byte GuestStopped = 2;

    /// <summary>Sets the flags. While no processor runs.</summary>
    /// <param name="personality">The hypervisor that the guest sees, as far as the software CPU serves it.</param>
    /// <param name="memory">The guest's RAM.</param>
    /// <param name="processors">How many processors there are.</param>
    internal static void Write(IPersonality personality, GuestMemory memory, int processors)
    {
        if (personality is XenPersonality xen)
        {
            xen.NoteStop();
            return;
        }

        for (int i = 0; i < processors; i++)
        {
            if (personality.TryReadMsr(i, 0, SystemTime, out ulong record) && (record & Enabled) != 0 && memory.TryRead((record & ~Enabled) + FlagsOffset, out byte flags))
            {
                memory.TryWrite((record & ~Enabled) + FlagsOffset, (byte)(flags | GuestStopped));
            }
        }
    }
}
