using System.Globalization;
using Lamina.Interop.Processes;

namespace Lamina.Cli.Control;

/// <summary>Where this user's running machines are entered: a directory that is the user's alone, and gone after a restart of the host.</summary>
internal static class RuntimeLocation
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>The directory, made if it is not there.</summary>
    /// <exception cref="LaminaException">It cannot be had, or is open to others.</exception>
    public static string Open(Func<string, string?> environment)
    {
        string path = Find(environment);
        try
        {
            Directory.CreateDirectory(path, OwnerOnly);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaminaException($"the directory for running machines cannot be made: {e.Message} XDG_RUNTIME_DIR may name another place.", e);
        }

        return OwnProcess.OwnsDirectory(path, alone: true)
            ? path
            : throw new LaminaException($"'{path}' is not a directory of yours alone, and running machines are not entered in it. XDG_RUNTIME_DIR may name another place.");
    }

    // As the XDG base directory specification and logind have it; what comes after is for hosts without.
    private static string Find(Func<string, string?> environment)
    {
        string? given = environment("XDG_RUNTIME_DIR");
        string user = OwnProcess.User.ToString(CultureInfo.InvariantCulture);
        return !string.IsNullOrEmpty(given) && Path.IsPathRooted(given) && Directory.Exists(given) ? Path.Combine(given, "lamina")
            : OwnProcess.OwnsDirectory($"/run/user/{user}", alone: true) ? $"/run/user/{user}/lamina"
            : OwnProcess.User == 0 ? "/run/lamina"
            : Path.Combine(Path.GetTempPath(), $"lamina-{user}");
    }
}
