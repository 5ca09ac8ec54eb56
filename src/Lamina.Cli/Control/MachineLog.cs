using Lamina.Interop;
using Lamina.Interop.Processes;
using Lamina.Machine.Backends;

namespace Lamina.Cli.Control;

/// <summary>
/// The file that has what a detached machine shows and says. It stays after the machine's end, until a machine of that name is started again. When it has grown too long it becomes the
/// old one, and a new one begins.
/// </summary>
internal sealed class MachineLog : ICharacterOutput
{
    private const long Limit = 16 << 20;
    private readonly string _path;
    private ICharacterOutput _inner = Vmm.Serial.NullCharacterOutput.Instance;
    private long _length;

    private MachineLog(string path)
    {
        _path = path;
    }

    /// <summary>Where a machine's log is.</summary>
    public static string FindPath(string name, Func<string, string?> environment) => Path.Combine(FindFolder(environment), $"{name}.log");

    /// <summary>Where logs are (XDG base directory specification).</summary>
    public static string FindFolder(Func<string, string?> environment)
    {
        string? state = environment("XDG_STATE_HOME");
        string? home = environment("HOME");
        string place = !string.IsNullOrEmpty(state) && Path.IsPathRooted(state) ? state
            : !string.IsNullOrEmpty(home) && Path.IsPathRooted(home) ? Path.Combine(home, ".local", "state")
            : throw new LaminaException("there is no place for logs: neither HOME nor XDG_STATE_HOME names a directory. Set XDG_STATE_HOME.");
        return Path.Combine(place, "lamina", "logs");
    }

    /// <summary>The files of a log, the older first, as far as they exist.</summary>
    public static IReadOnlyList<string> FindFiles(string path) => [.. new[] { GetOldPath(path), path }.Where(File.Exists)];

    /// <summary>Begins a machine's log.</summary>
    /// <exception cref="LaminaException">It cannot be written.</exception>
    public static MachineLog Create(string name)
    {
        string path = FindPath(name, Environment.GetEnvironmentVariable);
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.Delete(GetOldPath(path));
            File.Delete(path);
            return new MachineLog(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaminaException($"the log '{path}' cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Has standard output and standard error lead to the log.</summary>
    /// <exception cref="LaminaException">It cannot be written.</exception>
    public void TakeStandardStreams()
    {
        try
        {
            OwnProcess.Redirect(Descriptor.StandardOutput, _path);
            OwnProcess.Redirect(Descriptor.StandardError, _path);

            // The present one is a copy of the descriptor as it was.
            Console.SetError(new StreamWriter(Console.OpenStandardError()) { AutoFlush = true });
        }
        catch (SystemCallException e)
        {
            throw new LaminaException($"the log '{_path}' cannot be written: {e.Reason}", e);
        }
    }

    /// <summary>Counts what goes to standard output.</summary>
    public ICharacterOutput Watch(ICharacterOutput inner)
    {
        _inner = inner;
        return this;
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        _inner.Write(data);
        _length += data.Length;
        if (_length > Limit)
        {
            _length = 0;
            Turn();
        }
    }

    private static string GetOldPath(string path) => path + ".old";

    private void Turn()
    {
        try
        {
            File.Move(_path, GetOldPath(_path), overwrite: true);
            TakeStandardStreams();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or LaminaException)
        {
            // The log goes on in the file that it has.
        }
    }
}
