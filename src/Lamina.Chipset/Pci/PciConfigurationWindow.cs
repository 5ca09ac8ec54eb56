using Lamina.Machine.AddressSpaces;

namespace Lamina.Chipset.Pci;

/// <summary>PCI Express enhanced configuration access: 4 KiB a function, 1 MiB a bus (PCI Express Base 4.0, section 7.2.2).</summary>
internal sealed class PciConfigurationWindow(PciBus bus) : IRegisterWindow
{
    private const int PageSize = 4096;

    public AccessResult Read(ulong offset, Span<byte> data)
    {
        int register = (int)offset & (PageSize - 1);
        if (register + data.Length > PageSize)
        {
            return AccessResult.BadWidth;
        }

        bus.Read((int)(offset >> 20), (int)(offset >> 12) & 0xff, register, data);
        return AccessResult.Done;
    }

    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        int register = (int)offset & (PageSize - 1);
        if (register + data.Length > PageSize)
        {
            return AccessResult.BadWidth;
        }

        bus.Write((int)(offset >> 20), (int)(offset >> 12) & 0xff, register, data);
        return AccessResult.Done;
    }
}
