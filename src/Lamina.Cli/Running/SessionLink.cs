using System.Text;
using Lamina.Interop.Terminals;
using Lamina.Vmm;

namespace Lamina.Cli.Running;

/// <summary>What an image's session is told on the second serial port: that the window has another size, and that the machine is to stop. Any thread.</summary>
internal sealed class SessionLink
{
    private readonly VirtualMachine _machine;
    private readonly ControlLink? _link;
    private readonly bool _runsCommand;
    private readonly bool _hasRestoredShell;
    private readonly bool _isInMemory;
    private volatile bool _isToStop;

    /// <param name="machine">The machine.</param>
    /// <param name="link">What it says there; null if it is no image's.</param>
    /// <param name="runsCommand">Whether the session is a command, rather than a shell.</param>
    /// <param name="hasRestoredShell">Whether it is a shell that was there when the machine was saved.</param>
    /// <param name="isInMemory">Whether the image is in memory alone, and nobody in it listens to ACPI.</param>
    public SessionLink(VirtualMachine machine, ControlLink? link, bool runsCommand, bool hasRestoredShell, bool isInMemory)
    {
        _machine = machine;
        _link = link;
        _runsCommand = runsCommand;
        _hasRestoredShell = hasRestoredShell;
        _isInMemory = isInMemory;
        if (link != null)
        {
            link.Ready += OnReady;
        }
    }

    /// <summary>What the command reads; null if there is none. Set before the machine starts.</summary>
    public CommandInput? CommandInput { get; set; }

    /// <summary>Whether a shell listens there.</summary>
    public bool HasShell => !_runsCommand && (IsReady || _hasRestoredShell);

    private bool IsReady => _link is { IsReady: true };

    /// <summary>Asks by ACPI; an image in memory is told here: at once, or when it is ready.</summary>
    public void AskToPowerOff()
    {
        _machine.PressPowerButton();
        _isToStop = true;
        TellToStop();
    }

    /// <summary>Says how large the window is.</summary>
    public void SendSize(TerminalSize size)
    {
        _machine.ResizeConsole(size.Columns, size.Rows);
        if ((IsReady || HasShell) && _machine.Console == null)
        {
            _machine.Serial1.Write(Encoding.ASCII.GetBytes($"size {size.Rows} {size.Columns}\n"));
        }
    }

    private void OnReady()
    {
        if (_isToStop)
        {
            TellToStop();
        }
    }

    private void TellToStop()
    {
        if (HasShell)
        {
            _machine.Serial1.Write("stop\n"u8);
        }
        else if (_isInMemory && IsReady)
        {
            CommandInput?.Stop();
        }
    }
}
