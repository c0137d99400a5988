RECIPES: tuple[()] = ()
