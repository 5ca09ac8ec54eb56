using Lamina.Machine.Processors;

namespace Lamina.Boot.Tests;

public sealed class FirmwareRegistersTests
{
    [Fact]
    public void MemoryTypesAreThoseThatFirmwareSets()
    {
        ProcessorState state = new();
        state.Msrs.AddRange([new(0x1b, 7), new(0x200, 0), new(0x201, 0), new(0x202, 0), new(0x203, 0), new(0x259, 1), new(0x26f, 0), new(0x2ff, 0)]);
        FirmwareRegisters.Apply(state, 46);
        Assert.Equal(
            [
                new(0x1b, 7), new(0x200, 0xb000_0000), new(0x201, 0x3fff_f000_0800), new(0x202, 0xc000_0000), new(0x203, 0x3fff_c000_0800), new(0x259, 0),
                new(0x26f, 0x0505_0505_0505_0505), new(0x2ff, 0xc06),
            ],
            state.Msrs);
    }
}
