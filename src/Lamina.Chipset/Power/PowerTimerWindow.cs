using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Time;

namespace Lamina.Chipset.Power;

/// <summary>The power management timer: read-only, 32 bits, without a lock because guests read it often.</summary>
internal sealed class PowerTimerWindow(IMachineClock clock, TickRate rate) : IRegisterWindow
{
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        LittleEndian.Put(data, (uint)rate.ToTicks(clock.Now) >> ((int)offset * 8));
        return AccessResult.Done;
    }

    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data) => AccessResult.Done;
}
