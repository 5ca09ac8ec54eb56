using Lamina.Guests.Machines;

namespace Lamina.Guests;

/// <summary>memtest86+, which is its own operating system, on the serial console.</summary>
public sealed class MemoryTestTests
{
    [Theory]
    [MemberData(nameof(AcceleratorData.All), MemberType = typeof(AcceleratorData))]
    public void First_tests_pass_over_a_small_memory(string accelerator)
    {
        using GuestMachine guest = GuestMachine.StartKernel(GuestImages.GetMemoryTest(), "console=ttyS0,115200", accelerator, memory: 8UL << 20);
        guest.Expect("Memtest86");
        guest.Expect(@"#[5-9]  \[");
        Assert.DoesNotContain("Failing", guest.Console, StringComparison.OrdinalIgnoreCase);
    }
}
