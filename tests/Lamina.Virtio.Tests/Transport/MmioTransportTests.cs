using Lamina.Machine.AddressSpaces;
using Lamina.Virtio.Tests.Fakes;

namespace Lamina.Virtio.Tests.Transport;

/// <summary>The suite on the memory-mapped transport, and what is its own.</summary>
public sealed class MmioTransportTests : TransportConformanceTests
{
    private MmioBus _mapped = null!;

    [Fact]
    public void The_registers_say_what_it_is()
    {
        Assert.Equal((0x7472_6976u, 2u, 2u, 0x1af4u), (_mapped.Read(0), _mapped.Read(4), _mapped.Read(8), _mapped.Read(12)));
        Assert.Equal(uint.MaxValue, _mapped.Read(0xb0));
        _mapped.Write(0x30, 7);
        Assert.Equal(0u, _mapped.Read(0x34));
    }

    [Fact]
    public void Registers_are_read_whole()
    {
        Assert.Equal(AccessResult.BadWidth, _mapped.Transport.Read(0x70, new byte[1]));
        Assert.Equal(AccessResult.BadWidth, _mapped.Transport.Read(0x71, new byte[4]));
        Assert.Equal(AccessResult.BadWidth, _mapped.Transport.Write(0x70, new byte[2]));
        Assert.Equal(AccessResult.Done, _mapped.Transport.Read(0x100, new byte[1]));
    }

    [Fact]
    public void Garbage_in_the_registers_is_harmless()
    {
        Random random = new(11);
        Span<byte> data = stackalloc byte[8];
        for (int i = 0; i < 100_000; i++)
        {
            random.NextBytes(data);
            int width = 1 << random.Next(4);
            ulong offset = (ulong)random.Next(random.Next(3) == 0 ? 0x1000 : 0x110);
            offset = random.Next(4) == 0 ? offset : offset & ~3UL;
            if (random.Next(2) == 0)
            {
                _mapped.Transport.Read(offset, data[..width]);
            }
            else
            {
                _mapped.Transport.Write(offset, data[..width]);
            }
        }

        _mapped.Transport.Reset();
        Assert.Equal(0, _mapped.Status);
        Assert.False(_mapped.Line);
    }

    private protected override ITestTransport Connect(VirtioDevice device) => _mapped = new MmioBus(device);
}
