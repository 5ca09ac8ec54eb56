using Lamina.Boot;
using Lamina.Boot.Layout;
using Lamina.Boot.Tests.Images;
using Lamina.Interop.Memory;
using Lamina.Machine.Memory;

namespace Lamina.Fuzz;

/// <summary>A kernel of any of the formats that was changed anywhere is refused with a message, or loaded into RAM.</summary>
public sealed class KernelFuzzTests
{
    private const ulong RamLength = 16 << 20;

    [Fact]
    public void AKernelIsLoadedOrRefused()
    {
        byte[][] kernels =
        [
            ElfImageBuilder.Create([0xf4], 0x20_0000),
            ElfImageBuilder.Create([0xf4], 0x20_0000, is64: false),
            ElfImageBuilder.Create([0xf4], 0x20_0000, clearedLength: 0x1000, withNote: false),
            new LinuxImageBuilder().ToBytes(),
            MultibootImageBuilder.Create([0xf4]),
            [.. new byte[0xfff0], 0xea, .. new byte[15]],
        ];
        FuzzLoop.Run("kernels", random =>
        {
            MachineLayout layout = new(RamLength);
            using MemoryMapping mapping = MemoryMapping.CreateAnonymous(RamLength);
            using GuestMemory memory = new(layout.CreateRegions(mapping.Address));
            for (int round = 0; round < 40; round++)
            {
                byte[] kernel = FuzzValues.Mutate(random, kernels[random.Next(kernels.Length)]);
                BootSource source = new()
                {
                    Kernel = BootImage.FromBytes(kernel, "kernel"),
                    Initrd = random.Next(2) == 0 ? null : BootImage.FromBytes(new byte[random.Next(100_000)], "initrd"),
                    CommandLine = new string('x', random.Next(300)),
                };
                try
                {
                    using BootLoader loader = new(source, layout);
                    loader.Load(memory, 0xe_0000);
                }
                catch (BootException e)
                {
                    Assert.NotEmpty(e.Message);
                }
            }
        });
    }
}
