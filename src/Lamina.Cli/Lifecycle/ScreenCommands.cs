using System.CommandLine;
using Lamina.Cli.Screen;
using Lamina.Management.Protocol;

namespace Lamina.Cli.Lifecycle;

/// <summary>The commands for a machine's screen and keyboard: <c>screenshot</c>, <c>type</c> and <c>key</c>.</summary>
internal sealed class ScreenCommands
{
    private const int BlockSize = 65536;
    private readonly Argument<string> _name = new("NAME") { Description = "The machine, as 'lamina ps' shows it." };
    private readonly Argument<string> _file = new("FILE") { Description = "The PNG file, which is made or replaced." };
    private readonly Argument<string> _text = new("TEXT") { Description = "The text, as on an American keyboard." };
    private readonly Argument<string[]> _keys = new("KEYS") { Arity = ArgumentArity.OneOrMore, Description = "Keys that are held at once, such as ctrl+alt+delete; several are pressed one after the other." };
    private readonly Option<bool> _enter = new("--enter", "-e") { Description = "Press Enter after the text." };
    private readonly Dictionary<Command, Action<ParseResult>> _actions = [];

    public ScreenCommands()
    {
        _actions.Add(new Command("screenshot", "Save what a machine shows on its screen.") { _name, _file }, Save);
        _actions.Add(new Command("type", "Type a text on a machine's keyboard.") { _name, _text, _enter }, Type);
        _actions.Add(new Command("key", "Press keys of a machine's keyboard.") { _name, _keys }, Press);
    }

    /// <summary>The commands.</summary>
    public IEnumerable<Command> Commands => _actions.Keys;

    /// <summary>Does what was parsed, if it is one of these commands.</summary>
    /// <returns>Whether it is.</returns>
    /// <exception cref="LaminaException">It cannot be done.</exception>
    public bool TryRun(ParseResult result)
    {
        if (!_actions.TryGetValue(result.CommandResult.Command, out Action<ParseResult>? action))
        {
            return false;
        }

        action(result);
        return true;
    }

    private void Save(ParseResult result)
    {
        using MemoryStream picture = new();
        MachineCall.Run(MachineDirectory.Open(), result.GetValue(_name)!, client =>
        {
            ControlChannel channel = client.OpenStream(ControlVerbs.Screenshot, new NoArguments(), ControlJson.Default.NoArguments);
            byte[] block = new byte[BlockSize];
            int count;
            while ((count = channel.Read(block)) > 0)
            {
                picture.Write(block, 0, count);
            }
        });
        string file = result.GetValue(_file)!;
        try
        {
            File.WriteAllBytes(file, picture.ToArray());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaminaException($"'{file}' cannot be written: {e.Message}", e);
        }
    }

    private void Type(ParseResult result)
    {
        string text = result.GetValue(_text)! + (result.GetValue(_enter) ? "\n" : "");
        Check(() => UsKeyboard.Parse(text));
        Send(result, new KeyArguments { Text = text });
    }

    private void Press(ParseResult result)
    {
        string[] keys = result.GetValue(_keys)!;
        foreach (string held in keys)
        {
            Check(() => KeyNames.ParseHeld(held));
        }

        foreach (string held in keys)
        {
            Send(result, new KeyArguments { Keys = held });
        }
    }

    private static void Check(Func<object> parse)
    {
        try
        {
            parse();
        }
        catch (FormatException e)
        {
            throw new LaminaException(e.Message, e);
        }
    }

    private void Send(ParseResult result, KeyArguments arguments) =>
        MachineCall.Run(MachineDirectory.Open(), result.GetValue(_name)!, c => c.Call(ControlVerbs.Key, arguments, ControlJson.Default.KeyArguments));
}
