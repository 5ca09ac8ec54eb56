using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>What becomes of a fault during the delivery of another (Intel SDM volume 3, table 6-5).</summary>
public sealed unsafe class DoubleFaultTests : IDisposable
{
    private readonly SegmentedMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    // The gate of the first event leads to a segment that is not present (#NP) or to a page fault on its stack (IST 2 lies beyond the map).
    [Theory]
    [InlineData(0, EventKind.Exception, 11, 8, 0u)]
    [InlineData(10, EventKind.Exception, 11, 8, 0u)]
    [InlineData(12, EventKind.Exception, 11, 8, 0u)]
    [InlineData(13, EventKind.Exception, 11, 8, 0u)]
    [InlineData(14, EventKind.Exception, 11, 8, 0u)]
    [InlineData(14, EventKind.Exception, 14, 8, 0u)]
    [InlineData(13, EventKind.Exception, 14, 14, 2u)]
    [InlineData(0, EventKind.Exception, 14, 14, 2u)]
    [InlineData(1, EventKind.Exception, 11, 11, Layout.AbsentCode | 1u)]
    [InlineData(6, EventKind.Exception, 11, 11, Layout.AbsentCode | 1u)]
    [InlineData(17, EventKind.Exception, 11, 11, Layout.AbsentCode | 1u)]
    [InlineData(6, EventKind.Exception, 14, 14, 2u)]
    [InlineData(2, EventKind.NonMaskable, 11, 11, Layout.AbsentCode | 1u)]
    [InlineData(0x20, EventKind.ExternalInterrupt, 14, 14, 2u)]
    [InlineData(13, EventKind.ExternalInterrupt, 11, 11, Layout.AbsentCode | 1u)]
    [InlineData(13, EventKind.SoftwareInterrupt, 11, 11, (uint)Layout.AbsentCode)]
    internal void Second(byte first, EventKind kind, byte second, byte delivered, uint code)
    {
        _machine.EnterLong(0);
        _machine.SetDescriptor(Layout.AbsentCode, Descriptors.Segment(0, 0xf_ffff, 0x1a, 0xa));
        for (int n = 0; n < 32; n++)
        {
            _machine.SetLongGate(n, DescriptorType.InterruptGate, 0, Layout.LongCode, Layout.Handler + (ulong)n);
        }

        SetFaultingGate(first, second);
        Assert.True(_machine.Deliver(first, kind, true, 0x5550));
        if (delivered == first)
        {
            throw new InvalidOperationException("The table never delivers the first event here.");
        }

        Assert.Equal(Layout.Handler + (ulong)delivered, _machine.Context->Rip);
        Assert.Equal(code, _machine.Read<ulong>(_machine.Rsp));
        Assert.Equal((ulong)Layout.Code, _machine.Read<ulong>(_machine.Rsp + 8));
    }

    [Theory]
    [InlineData(11)]
    [InlineData(14)]
    public void Third(byte third)
    {
        _machine.EnterLong(0);
        _machine.SetDescriptor(Layout.AbsentCode, Descriptors.Segment(0, 0xf_ffff, 0x1a, 0xa));
        for (int n = 0; n < 32; n++)
        {
            _machine.SetLongGate(n, DescriptorType.InterruptGate, 0, Layout.LongCode, Layout.Handler);
        }

        SetFaultingGate(13, 11);
        SetFaultingGate(8, third);
        Assert.False(_machine.Deliver(13, EventKind.Exception, true, 0));
        Assert.Equal(HandlerOutcome.Shutdown, _machine.Context->Outcome);
    }

    [Fact]
    public void EmptyTableShutsDown()
    {
        _machine.EnterLong(0);
        _machine.Context->IdtLimit = 0;
        Assert.False(_machine.Deliver(3, EventKind.SoftwareInterrupt));
        Assert.Equal(HandlerOutcome.Shutdown, _machine.Context->Outcome);
    }

    private void SetFaultingGate(byte vector, byte fault)
    {
        if (fault == 11)
        {
            _machine.SetLongGate(vector, DescriptorType.InterruptGate, 0, Layout.AbsentCode, Layout.Handler);
        }
        else
        {
            _machine.SetLongGate(vector, DescriptorType.InterruptGate, 0, Layout.LongCode, Layout.Handler, stack: 2);
            _machine.Write(Layout.Task + 0x2c, 0x4000_0000UL);
        }
    }
}
