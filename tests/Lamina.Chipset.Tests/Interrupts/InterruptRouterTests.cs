using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Tests.Interrupts;

/// <summary>Lines that a hypervisor takes instead of the interrupt controllers.</summary>
public sealed class InterruptRouterTests
{
    private const int Line = 20;
    private const byte Vector = 0x55;
    private const ulong LevelActiveLow = 0xa000;
    private readonly TestBoard _board = new();
    private readonly RecordingLines _taken = new();

    public InterruptRouterTests()
    {
        _board.EnableApics();
        _board.Redirect(Line, Vector | LevelActiveLow);
    }

    private IInterruptDiversion Diversion => _board.Router;

    [Fact]
    public void TheIntervalTimerCannotBeTaken() => Assert.Equal(0xff_fffau, Diversion.Interrupts);

    [Fact]
    public void ALineThatIsTakenDoesNotReachTheControllersUntilItIsGivenBack()
    {
        Assert.False(Diversion.Divert(Line, _taken), "The line is low.");
        _board.Router.SetLine(Line, true);
        Assert.Null(_board.Acknowledge());
        Assert.True(_taken[Line], "Nobody hears of the line.");
        _board.Router.SetLine(Line, false);
        Assert.False(_taken[Line], "Nobody hears that the line is low.");
        _board.Router.SetLine(Line, true);
        Assert.Equal(2, _taken.Edges(Line));
        Assert.True(Diversion.Divert(Line, null), "The line is high.");
        Assert.Equal(Vector, _board.Acknowledge());
        _board.Router.SetLine(Line, false);
        Assert.True(_taken[Line], "The line was given back, and its taker hears of it.");
    }

    [Fact]
    public void ALineThatIsHighWhenItIsTakenIsLowAtTheControllers()
    {
        const ulong Masked = 1 << 16;
        _board.Redirect(Line, Vector | LevelActiveLow | Masked);
        _board.Router.SetLine(Line, true);
        Assert.True(Diversion.Divert(Line, _taken), "The line is high.");
        _board.Redirect(Line, Vector | LevelActiveLow);
        Assert.Null(_board.Acknowledge());
        Assert.Equal(0, _taken.Edges(Line));
    }
}
