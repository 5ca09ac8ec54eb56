using Lamina.Cli.Images;
using Spectre.Console;

namespace Lamina.Cli.Output;

/// <summary>Shows progress on standard error: a bar on a terminal, a line a step elsewhere. Shows nothing at all until there is something to do.</summary>
internal sealed class ProgressDisplay : IProgressDisplay, IDisposable
{
    private const double Done = 100;
    private readonly bool _isTerminal = !Console.IsErrorRedirected;
    private readonly Lock _lock = new();
    private readonly ManualResetEventSlim _finished = new();
    private IAnsiConsole? _console;
    private Task? _display;
    private ProgressContext? _context;
    private ProgressTask? _task;

    /// <inheritdoc/>
    public void Begin(string step)
    {
        if (!_isTerminal)
        {
            Messages.Write(step);
            return;
        }

        if (_display == null)
        {
            StartDisplay();
        }

        lock (_lock)
        {
            if (_task != null)
            {
                _task.Value = Done;
            }

            _task = _context!.AddTask(Markup.Escape(step), maxValue: Done);
        }
    }

    /// <inheritdoc/>
    public void Advance(double percent)
    {
        lock (_lock)
        {
            if (_task != null)
            {
                _task.Value = percent;
            }
        }
    }

    /// <inheritdoc/>
    public void Note(string message) => Messages.Write(message);

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_task != null)
            {
                _task.Value = Done;
            }
        }

        _finished.Set();
        _display?.Wait();
        _finished.Dispose();
    }

    private void StartDisplay()
    {
        _console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        TaskCompletionSource<ProgressContext> started = new();
        Progress progress = _console.Progress().AutoClear(true).Columns(
            new TaskDescriptionColumn { Alignment = Justify.Left },
            new ProgressBarColumn(),
            new PercentageColumn());
        _display = Task.Run(() => progress.Start(context =>
        {
            started.SetResult(context);
            _finished.Wait();
        }));
        _context = started.Task.GetAwaiter().GetResult();
    }
}
