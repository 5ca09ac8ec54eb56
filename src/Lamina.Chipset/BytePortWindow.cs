using Lamina.Machine.AddressSpaces;

namespace Lamina.Chipset;

/// <summary>Ports of an 8-bit device. A wider access becomes one access a byte, lowest port first, as the ISA bus makes it.</summary>
internal sealed class BytePortWindow(IBytePorts device, int firstRegister) : IRegisterWindow
{
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        for (int i = 0; i < data.Length; i++)
        {
            data[i] = device.ReadPort(firstRegister + (int)offset + i);
        }

        return AccessResult.Done;
    }

    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        for (int i = 0; i < data.Length; i++)
        {
            device.WritePort(firstRegister + (int)offset + i, data[i]);
        }

        return AccessResult.Done;
    }
}
