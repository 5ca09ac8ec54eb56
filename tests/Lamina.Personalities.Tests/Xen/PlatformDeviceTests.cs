using Lamina.Machine.AddressSpaces;
using Lamina.Personalities.Xen.Platform;

namespace Lamina.Personalities.Tests.Xen;

/// <summary>The platform device by xen/docs/misc/hvm-emulated-unplug.pandoc, as Linux asks it.</summary>
public sealed class PlatformDeviceTests : IDisposable
{
    private readonly XenGuest _guest = new();
    private readonly AddressSpace _ports = new(AddressSpace.PortCount, new CheckedLock());
    private readonly PlatformDevice _device;

    public PlatformDeviceTests()
    {
        _device = new PlatformDevice(_guest.Personality, new CheckedLock());
        _device.Map(_ports, new AddressSpace(1UL << 47, new CheckedLock()));
    }

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void EmulatedDevicesAreUnpluggedByTheFixedPorts()
    {
        // The magic number, the version, the driver's product and build, the magic number again (drivers that are not wanted find another), and what goes.
        Assert.Equal((0x49d2UL, 1UL), (Read(0x10, 2), Read(0x12, 1)));
        Write(0x12, 3, 2);
        Write(0x10, 0xffff, 4);
        Assert.Equal(0x49d2UL, Read(0x10, 2));
        Write(0x10, 3, 2);
        Write(0x12, 'x', 1);
        Assert.Equal((0x49d2UL, 1UL), (Read(0x10, 2), Read(0x12, 1)));

        // Of another width or at another port there is nothing.
        Assert.Equal((0xffUL, 0xffffUL), (Read(0x10, 1), Read(0x12, 2)));
    }

    [Fact]
    public void TheFunctionIsXensAndItsWindowsAreWhereDriversLook()
    {
        Span<byte> register = stackalloc byte[4];
        _device.Function.Peek(0, register);
        Assert.Equal(0x0001_5853u, BitConverter.ToUInt32(register));
        _device.Function.Peek(0x08, register);
        Assert.Equal(0xff_8000_01u, BitConverter.ToUInt32(register));
        _device.Function.Peek(0x10, register);
        Assert.True((BitConverter.ToUInt32(register) & 1) != 0, "The first window is of ports.");
        _device.Function.Peek(0x14, register);
        Assert.True((BitConverter.ToUInt32(register) & 1) == 0, "The second window is of memory.");
    }

    private ulong Read(ulong port, int width)
    {
        byte[] data = new byte[8];
        _ports.Read(port, data.AsSpan(0, width));
        return BitConverter.ToUInt64(data);
    }

    private void Write(ulong port, uint value, int width) => Assert.Equal(AccessResult.Done, _ports.Write(port, BitConverter.GetBytes(value).AsSpan(0, width)));
}
