using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Pci;

namespace Lamina.Virtio.Transport;

/// <summary>
/// The window in the configuration space through which firmware reaches the registers before it gives them an address (virtio 1.2, section 4.1.4.9). The bytes of the
/// capability before it say which register, which offset, and how many bytes.
/// </summary>
internal sealed class PciConfigurationAccess(PciFunction function, int capability, IRegisterWindow registers, MsixTable msix) : IRegisterWindow
{
    /// <summary>Where the window is in the capability.</summary>
    public const int DataOffset = 16;

    private const int BarOffset = 4;

    public AccessResult Read(ulong offset, Span<byte> data)
    {
        return TryFind(offset, data.Length, out IRegisterWindow? window, out uint at) ? window!.Read(at, data) : AccessResult.BadWidth;
    }

    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        return TryFind(offset, data.Length, out IRegisterWindow? window, out uint at) ? window!.Write(at, data) : AccessResult.BadWidth;
    }

    private bool TryFind(ulong offset, int length, out IRegisterWindow? window, out uint at)
    {
        Span<byte> selection = stackalloc byte[12];
        function.Peek(capability + BarOffset, selection);
        at = (uint)LittleEndian.Get(selection.Slice(4, 4));
        uint wanted = (uint)LittleEndian.Get(selection.Slice(8, 4));
        window = selection[0] == 0 ? registers : msix;
        uint end = selection[0] == 0 ? 0x4000u : (uint)msix.WindowLength;
        return offset == 0 && selection[0] <= 1 && wanted == (uint)length && wanted is 1 or 2 or 4 && at % wanted == 0 && at < end;
    }
}
