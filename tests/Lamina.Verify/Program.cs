return Lamina.Verify.VerifyProgram.Run(args);
