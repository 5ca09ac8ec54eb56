namespace Lamina.Kvm.Tests;

/// <summary>How it is found out what KVM takes for an instruction of a guest's kernel.</summary>
public sealed class KvmHostTests
{
    // Other programs take the processor away for milliseconds, in four of five runs of either kind: neither may what entering KVM takes look like more than the loop, nor the loop like one without hardware.
    [Theory]
    [InlineData(750, 0)]
    [InlineData(750, 1)]
    [InlineData(0.5, 0)]
    [InlineData(0.5, 1)]
    public void ABusyHostIsMeasuredAsAnIdleOne(double instruction, int delayed)
    {
        const double entry = 5_000;
        const double delay = 4_000_000;
        int runs = 0;
        double measured = KvmHost.TimeAnInstruction(count =>
        {
            int run = runs++;
            return TimeSpan.FromMicroseconds((entry + (2 * count * instruction) + (run % 2 == delayed && run / 2 != 3 ? delay : 0)) / 1000);
        });
        Assert.InRange(measured, instruction - 1, instruction + 1);
    }
}
