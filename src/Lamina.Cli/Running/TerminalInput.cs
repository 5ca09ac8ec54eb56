namespace Lamina.Cli.Running;

/// <summary>Types a person's keys into the guest. What is typed before the guest is ready waits.</summary>
internal sealed class TerminalInput(IInputSource source, IInputPort port, Action quit, Action showHelp, EscapeKeys keys)
{
    private readonly Lock _lock = new();
    private readonly List<byte> _waiting = [];
    private bool _ready;

    /// <summary>The guest takes input from now on. Any thread.</summary>
    public void OnReady()
    {
        lock (_lock)
        {
            _ready = true;
            Send();
        }
    }

    /// <summary>Reads until the terminal is gone or the person quits.</summary>
    public void Run()
    {
        Span<byte> buffer = stackalloc byte[1024];
        while (true)
        {
            int count = source.Read(buffer);
            EscapeRequest request = EscapeRequest.Quit;
            if (count > 0)
            {
                lock (_lock)
                {
                    request = keys.Process(buffer[..count], _waiting);
                    Send();
                }
            }

            if (request == EscapeRequest.Help)
            {
                showHelp();
            }
            else if (request == EscapeRequest.Quit)
            {
                quit();
                return;
            }
        }
    }

    private void Send()
    {
        if (_ready && _waiting.Count > 0)
        {
            port.Write([.. _waiting]);
            _waiting.Clear();
        }
    }
}
