using Lamina.Chipset.Power;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;

namespace Lamina.Chipset.Pci;

/// <summary>
/// Configuration mechanism 1 (PCI 3.0, section 3.2.2.3.2) at 0xcf8 to 0xcff. The address register takes 32-bit accesses only; a byte access to its second port is
/// the reset control register.
/// </summary>
internal sealed class PciConfigurationPorts(PciBus bus, ResetControl resetControl) : IRegisterWindow
{
    private const ulong DataOffset = 4;
    private const uint Enable = 0x8000_0000;
    private const uint AddressBits = 0x80ff_fffc;

    public uint Address { get; set; }

    public static bool IsAddress(uint value) => (value & ~AddressBits) == 0;

    public AccessResult Read(ulong offset, Span<byte> data)
    {
        if (offset >= DataOffset)
        {
            if (!IsInData(offset, data.Length) || (Address & Enable) == 0)
            {
                return AccessResult.Unclaimed;
            }

            bus.Read((int)(Address >> 16) & 0xff, (int)(Address >> 8) & 0xff, (int)(Address & 0xfc) + (int)(offset - DataOffset), data);
            return AccessResult.Done;
        }

        if (offset == 0 && data.Length == 4)
        {
            LittleEndian.Put(data, Address);
            return AccessResult.Done;
        }

        if (offset == 1 && data.Length == 1)
        {
            data[0] = resetControl.Value;
            return AccessResult.Done;
        }

        return AccessResult.Unclaimed;
    }

    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset >= DataOffset)
        {
            if (!IsInData(offset, data.Length) || (Address & Enable) == 0)
            {
                return AccessResult.Unclaimed;
            }

            bus.Write((int)(Address >> 16) & 0xff, (int)(Address >> 8) & 0xff, (int)(Address & 0xfc) + (int)(offset - DataOffset), data);
            return AccessResult.Done;
        }

        if (offset == 0 && data.Length == 4)
        {
            Address = (uint)LittleEndian.Get(data) & AddressBits;
            return AccessResult.Done;
        }

        if (offset == 1 && data.Length == 1)
        {
            resetControl.Value = data[0];
            return AccessResult.Done;
        }

        return AccessResult.Unclaimed;
    }

    private static bool IsInData(ulong offset, int length) => offset - DataOffset + (ulong)length <= 4;
}
